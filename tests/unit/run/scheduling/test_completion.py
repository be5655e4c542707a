"""Ends of builds: charged deaths, quarantines, and decisions of other runs."""

from __future__ import annotations

import pytest

from dreamfoundry.run.messages import (
    Decision,
    Export,
    ExportReport,
    Fault,
    RunSlice,
    SliceReport,
)
from dreamfoundry.run.scheduling.completion import MAX_DEATHS
from support.scheduler_world import World, build_of, run_until


def test_a_poisonous_prompt_is_quarantined_after_three_deaths_alone_and_its_neighbours_are_published() -> None:
    world = World([build_of("poison", priority=1), build_of("good"), build_of("fine")], distillers=1)
    for _ in range(200):
        world.obey()
        if world.scheduler.is_finished:
            break
        world.start_all()
        for worker in list(world.running):
            if "poison/0" in world.slot_contents.get(worker, {}):
                world.die(worker)
            else:
                world.finish(worker)
    states = {key: decision.state for key, decision in world.decisions.items()}
    assert states == {
        "poison/0/preview": "quarantined", "good/0/preview": "published", "fine/0/preview": "published",
    }  # fmt: skip
    assert world.claims.deaths == {"poison/0": MAX_DEATHS}


def test_an_exporter_that_dies_is_not_charged_to_the_field_and_is_given_up_after_three() -> None:
    world = World([build_of("deadly", stored=True), build_of("good", stored=True)])
    deaths = 0
    for _ in range(200):
        world.obey()
        if world.scheduler.is_finished:
            break
        world.start_all()
        for worker, command in list(world.running.items()):
            if isinstance(command, Export) and command.task.build.asset_key == "deadly/0/preview":
                assert command.task.tries == 1
                deaths += 1
                world.die(worker)
            else:
                world.finish(worker)

    decision = world.decisions["deadly/0/preview"]
    assert decision.failure is not None
    assert decision.failure.failure_class == "export_died"
    assert deaths == MAX_DEATHS
    assert world.decisions["good/0/preview"].state == "published"
    assert world.claims.deaths == {}, "charges are for optimisations"


@pytest.mark.parametrize("num_losses", [1, 2])
def test_a_stored_field_that_cannot_be_read_is_optimised_again_once(num_losses: int) -> None:
    world = World([build_of("lost", stored=True), build_of("good", stored=True)], distillers=1)
    told, lost = 0, Fault("the snapshot of field lost/0 is lost", lost_snapshot=True)
    for _ in range(200):
        world.obey()
        if world.scheduler.is_finished:
            break
        world.start_all()
        for worker, command in list(world.running.items()):
            is_lost = isinstance(command, Export) and command.task.build.field_key == "lost/0" and told < num_losses
            told += is_lost
            world.finish(worker, fault=lost if is_lost else None)

    failure = world.decisions["lost/0/preview"].failure
    assert (failure.failure_class if failure else "") == ("snapshot_lost" if num_losses == 2 else "")
    assert world.decisions["good/0/preview"].state == "published"
    assert world.optimized == {"lost/0": 1}
    assert world.scheduler.take_notes() == [lost.message] * num_losses
    assert world.claims.deaths == {}, "nobody is charged"


def test_prompts_that_were_side_by_side_in_a_death_are_run_alone_afterwards() -> None:
    world = World([build_of("a"), build_of("b")], distillers=1)
    run_until(world, "distiller-0")
    assert len(world.slot_contents["distiller-0"]) == 2
    world.die("distiller-0")
    run_until(world, "distiller-0")
    assert len(world.slot_contents["distiller-0"]) == 1
    command = world.running["distiller-0"]
    assert isinstance(command, RunSlice)
    assert command.num_slots == 1
    assert world.claims.deaths == {}, "a death in company is no proof"


def test_22_a_prompt_that_raises_is_quarantined_once_with_the_end_of_its_traceback() -> None:
    world = World([build_of("a")], distillers=1)
    for _ in range(MAX_DEATHS):
        run_until(world, "distiller-0")
        world.deaths_alone["a/0"] += 1
        world.running.pop("distiller-0")
        fault = Fault("  File guidance.py, line 7\nValueError: nobody thought of this", crashed=True)
        world.scheduler.slice_ended("distiller-0", SliceReport({"a/0": 5}, (), 0, fault))
        world.obey()
    failure = world.decisions["a/0/preview"].failure
    assert failure is not None
    assert failure.failure_class == "worker_died"
    assert "ValueError: nobody thought of this" in failure.message
    assert world.outcomes == {"a/0/preview": 1}


def test_what_another_run_has_published_meanwhile_is_not_built() -> None:
    world = World([build_of("theirs")])
    standing = Decision("published", is_ours=False)
    world.claims.outcomes = {"theirs/0/preview": standing}
    world.run_to_the_end()
    assert world.decisions == {"theirs/0/preview": standing}
    assert world.optimized == {}


def test_what_another_run_has_published_during_an_export_is_not_ours() -> None:
    world = World([build_of("theirs", stored=True)])
    run_until(world, "exporter-0")
    standing = Decision("published", is_ours=False)
    world.scheduler.export_ended("exporter-0", ExportReport("theirs/0/preview", standing))
    assert world.decisions == {"theirs/0/preview": standing}
