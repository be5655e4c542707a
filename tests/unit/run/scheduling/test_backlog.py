"""Builds at hand, their order, and fields that wait for the leases of other runs."""

from __future__ import annotations

import pytest

from dreamfoundry.run.scheduling.timeouts import Limits
from support.scheduler_world import World, build_of, run_until


def test_builds_are_taken_as_they_are_needed_and_the_most_urgent_at_hand_come_first() -> None:
    builds = [build_of(f"p{n}", priority=n) for n in range(6)]
    world = World(builds, distillers=1, slots=1, look_ahead=3)
    run_until(world, "distiller-0")
    assert list(world.slot_contents["distiller-0"]) == ["p2/0"], "the most urgent of the first three"
    world.run_to_the_end()
    assert world.outcomes.total() == 6
    backlog = world.scheduler._backlog
    assert not backlog.fields, "nothing is kept of what has ended"
    assert not backlog.builds


@pytest.mark.parametrize("priority_of_last", [0, 5])
def test_urgent_rows_come_first_and_equal_ones_in_their_order(priority_of_last: int) -> None:
    names = [build_of("a"), build_of("b"), build_of("c", priority=priority_of_last)]
    world = World(names, distillers=1, slots=1)
    run_until(world, "distiller-0")
    assert list(world.slot_contents["distiller-0"]) == ["c/0" if priority_of_last else "a/0"]


def test_a_field_that_a_live_run_holds_is_asked_for_twice_and_then_left_to_it() -> None:
    world = World([build_of("theirs"), build_of("ours")])
    world.claims.foreign = {"theirs/0"}
    world.run_to_the_end()
    assert world.now_s >= Limits().lease_s
    assert world.scheduler.num_delegated == 1
    assert world.decisions.keys() == {"ours/0/preview"}


def test_a_field_whose_owner_has_died_is_taken_over_when_the_lease_is_over() -> None:
    world = World([build_of("orphan")])
    world.claims.foreign = {"orphan/0"}
    world.obey()
    world.start("distiller-0", works=True)
    world.obey()
    assert (world.scheduler.status().postponed, world.scheduler.status().optimizing) == (1, 0)
    world.claims.foreign = set()
    world.run_to_the_end()
    assert world.scheduler.status().postponed == 0
    assert world.outcomes == {"orphan/0/preview": 1}
