"""Workers that die, hang or fail: blame, retirement, the end of the run."""

from __future__ import annotations

import pytest

from dreamfoundry.run.messages import (
    Blame,
    Fault,
)
from dreamfoundry.run.scheduling.completion import MAX_DEATHS
from dreamfoundry.run.scheduling.supervision import MAX_FAULTS
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
