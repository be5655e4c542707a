"""Workers that die, hang or fail: blame, retirement, the end of the run."""

from __future__ import annotations

import pytest

from dreamfoundry.run.messages import (
    Blame,
    Fault,
)
from dreamfoundry.run.scheduling.completion import MAX_DEATHS
from dreamfoundry.run.scheduling.supervision import MAX_FAULTS, MAX_NODE_DEATHS
from dreamfoundry.run.scheduling.timeouts import Limits
from support.scheduler_world import World, build_of, run_until


def test_three_setup_failures_in_a_row_abort_the_run_with_their_cause() -> None:
    world = World([build_of("a")], distillers=1)
    for _ in range(3):
        world.obey()
        world.start("distiller-0", works=False)
    assert world.scheduler.is_finished
    assert world.scheduler.abort_cause == "no weights"


def test_one_broken_place_does_not_stop_a_run_that_has_another() -> None:
    world = World([build_of("a"), build_of("b")], distillers=2, slots=1)
    for _ in range(3):
        world.obey()
        world.start("distiller-0", works=False)
    world.run_to_the_end()
    assert world.scheduler.abort_cause is None
    assert world.outcomes.total() == 2


def test_34_an_exporter_on_a_full_disk_gets_no_more_work_and_the_others_finish_everything() -> None:
    world = World([build_of(f"p{n}") for n in range(8)], distillers=1, exporters=2, slots=4)
    num_faults = 0
    for _ in range(60):
        world.obey()
        if world.scheduler.is_finished:
            break
        world.start_all()
        for worker in list(world.running):
            is_full = worker == "exporter-0"
            num_faults += is_full
            world.finish(worker, fault=Fault("no space left on device") if is_full else None)
    assert num_faults == MAX_FAULTS
    assert world.outcomes.total() == 8
    assert {decision.state for decision in world.decisions.values()} == {"published"}


@pytest.mark.parametrize("blame", ["itself", "node"])
def test_a_death_with_its_node_is_charged_to_nobody(blame: Blame) -> None:
    world = World([build_of("a")], distillers=1)
    run_until(world, "distiller-0")
    world.die("distiller-0", blame)
    assert world.claims.deaths == ({"a/0": 1} if blame == "itself" else {})


def test_17_a_death_on_a_node_that_was_about_to_go_is_charged_to_nobody_but_the_next_one_is() -> None:
    world = World([build_of("a")], distillers=1)
    run_until(world, "distiller-0")
    world.scheduler.leave(["distiller-0"])
    world.die("distiller-0")
    assert world.claims.deaths == {}
    for deaths in range(1, MAX_DEATHS + 1):
        run_until(world, "distiller-0")
        world.die("distiller-0")
        assert world.claims.deaths == {"a/0": deaths}
    world.obey()
    assert world.decisions["a/0/preview"].state == "quarantined"


def test_a_worker_that_gives_no_answer_is_killed_and_its_prompt_charged() -> None:
    world = World([build_of("stuck")], distillers=1)
    run_until(world, "distiller-0")
    world.now_s = Limits().slice_limit_s + 1.0
    world.obey()
    assert "distiller-0" not in world.alive
    assert world.claims.deaths == {"stuck/0": 1}


def start_on_the_first_free_node(world: World, nodes: dict[str, bool]) -> None:
    """Start the distillers as a cluster of one card each would; `nodes` says of which the card works."""
    for worker in [worker for worker in world.starting if worker.startswith("distiller")]:
        node = next(node for node in nodes if node not in world.drained)
        world.start(worker, works=nodes[node], node=node, blame="device")
    world.start_all()


def test_45_a_node_whose_card_is_gone_is_drained_after_two_deaths_in_set_up_and_its_work_goes_elsewhere() -> None:
    world = World([build_of(name) for name in "ab"], distillers=1)
    for _ in range(MAX_NODE_DEATHS + 1):
        world.obey()
        start_on_the_first_free_node(world, {"broken": False, "well": True})
    assert world.drained == ["broken"]
    (note,) = world.scheduler.take_notes()
    assert note == "node broken gets no more work, for 2 workers died in set-up there: no device"
    world.run_to_the_end()
    assert world.scheduler.abort_cause is None
    assert world.outcomes.total() == 2
    assert world.claims.deaths == {}


def test_deaths_that_are_not_the_devices_drain_no_node() -> None:
    world = World([build_of("a")], distillers=1)
    for _ in range(MAX_FAULTS):
        world.obey()
        world.start("distiller-0", works=False, node="well")
    assert world.drained == []
    assert world.scheduler.abort_cause == "no weights"


def test_a_worker_that_comes_up_clears_its_node() -> None:
    world = World([build_of(name) for name in "abcd"], distillers=2, slots=1)
    world.obey()
    world.start("distiller-0", works=False, node="shared", blame="device")
    world.start("distiller-1", works=True, node="shared")
    world.obey()
    world.start("distiller-0", works=False, node="shared", blame="device")
    assert world.drained == []


def test_where_every_card_is_gone_the_run_ends_with_the_cause_and_does_not_try_for_ever() -> None:
    world = World([build_of(name) for name in "abcd"], distillers=2, slots=1)
    num_deaths = 0
    while not world.scheduler.is_finished:
        world.obey()
        for worker in [worker for worker in world.starting if worker.startswith("distiller")]:
            world.start(worker, works=False, node=f"node-{num_deaths // MAX_NODE_DEATHS}", blame="device")
            num_deaths += 1
    assert num_deaths == 2 * MAX_FAULTS
    assert world.scheduler.abort_cause == "no device"


def test_a_set_up_that_takes_too_long_counts_against_its_node() -> None:
    world = World([build_of("a")], distillers=1)
    for _ in range(MAX_NODE_DEATHS):
        world.obey()
        world.scheduler.worker_placed("distiller-0", "stuck")
        world.now_s += Limits().setup_limit_s + 1.0
        world.starting.remove("distiller-0")
        world.obey()
    assert world.drained == ["stuck"]
