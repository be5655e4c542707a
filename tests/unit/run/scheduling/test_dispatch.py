"""Commands to workers: exports, draining nodes, a run that stops, lost leases."""

from __future__ import annotations

from dreamfoundry.run.messages import (
    Export,
    HandBack,
    SliceReport,
)
from support.scheduler_world import World, build_of, run_until


def test_a_node_that_goes_hands_its_fields_back_and_they_go_on_elsewhere() -> None:
    world = World([build_of("a"), build_of("b")], distillers=2, slots=2)
    run_until(world, "distiller-0")
    held = set(world.slot_contents["distiller-0"])
    world.scheduler.leave(["distiller-0"])
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport(dict.fromkeys(held, 5), (), 5))
    world.obey()
    assert isinstance(world.running["distiller-0"], HandBack)
    world.finish("distiller-0")
    world.obey()
    assert "distiller-0" not in world.alive
    world.run_to_the_end()
    assert world.claims.deaths == {}
    assert world.outcomes.total() == 2


def test_a_run_that_is_stopped_hands_everything_back_and_begins_nothing() -> None:
    world = World([build_of(name) for name in "abcdef"], distillers=1, slots=2)
    run_until(world, "distiller-0")
    world.scheduler.stop()
    world.obey()
    assert not world.scheduler.is_drained
    contents = dict(world.slot_contents["distiller-0"])
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport(contents, (), 5))
    world.obey()
    assert isinstance(world.running["distiller-0"], HandBack)
    world.finish("distiller-0")
    world.obey()
    assert world.scheduler.is_drained
    assert not world.running
    assert not world.scheduler.is_finished


def test_a_field_whose_lease_was_lost_leaves_its_slot_and_the_others_go_on() -> None:
    world = World([build_of("theirs"), build_of("ours")], distillers=1, slots=2)
    run_until(world, "distiller-0")
    world.claims.newly_lost, world.claims.foreign = {"theirs/0"}, {"theirs/0"}
    contents = dict(world.slot_contents["distiller-0"])
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport(contents, (), 5))
    world.obey()
    world.finish("distiller-0")
    world.obey()
    assert list(world.slot_contents["distiller-0"]) == ["ours/0"]
    world.run_to_the_end()
    assert world.scheduler.num_delegated == 1
    assert world.outcomes == {"ours/0/preview": 1}


def test_stored_fields_need_no_distiller() -> None:
    world = World([build_of(name, stored=True) for name in "abc"])
    world.run_to_the_end()
    assert world.alive == {"exporter-0"}
    assert world.scheduler.status().published == 3


def test_an_export_is_given_to_one_exporter_only() -> None:
    world = World([build_of("a", profile=profile, stored=True) for profile in ("preview", "mobile")], exporters=3)
    for _ in range(3):
        world.obey()
        world.start_all()
    exports = [command for command in world.running.values() if isinstance(command, Export)]
    assert sorted(export.task.build.profile.name for export in exports) == ["mobile", "preview"]
