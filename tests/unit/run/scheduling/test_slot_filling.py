"""Fields in free slots: full export queues, full slots, the last rows of a run."""

from __future__ import annotations

from dreamfoundry.run.messages import (
    RunSlice,
    SliceReport,
)
from support.scheduler_world import World, build_of, run_until


def test_32_while_exports_are_slow_slots_are_not_refilled_and_the_queue_stays_short() -> None:
    world = World([build_of(f"p{n}") for n in range(12)], distillers=1, exporters=1, slots=2)
    for _ in range(30):
        world.obey()
        world.start_all()
        for worker in [name for name in world.running if name.startswith("distiller")]:
            world.finish(worker)
    assert 2 <= len(world.unexported) <= 2 + world.slots - 1
    assert not world.slot_contents["distiller-0"], "the distiller waits"
    world.run_to_the_end()
    assert world.outcomes.total() == 12


def test_the_last_rows_are_spread_over_all_distillers() -> None:
    world = World([build_of(f"p{n}") for n in range(6)], distillers=2, slots=4)
    world.obey()
    for worker in ("distiller-0", "distiller-1"):
        world.start(worker, works=True)
    world.obey()

    assert sorted(len(contents) for contents in world.slot_contents.values()) == [3, 3]


def test_a_distiller_whose_slots_are_full_goes_on() -> None:
    world = World([build_of(f"p{n}") for n in range(4)], distillers=1, slots=2)
    run_until(world, "distiller-0")
    contents = world.slot_contents["distiller-0"]
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport(dict.fromkeys(contents, 5), (), 5))
    world.obey()

    begun = world.running["distiller-0"]
    assert isinstance(begun, RunSlice)
    assert begun.add == ()
