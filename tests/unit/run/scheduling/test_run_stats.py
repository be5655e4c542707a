"""Seconds of distillers: useful, wasted, idle."""

from __future__ import annotations

import pytest

from dreamfoundry.run.messages import (
    Failure,
    SliceReport,
)
from support.scheduler_world import World, build_of, run_until


def test_what_is_in_a_checkpoint_is_not_wasted_by_a_death() -> None:
    world = World([build_of("a")], distillers=1)
    run_until(world, "distiller-0")
    world.now_s += 30.0
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport({"a/0": 5}, (), 5, saved=("a/0",)))
    world.obey()
    world.now_s += 10.0
    world.die("distiller-0")
    assert world.scheduler.status().wasted_s == 10.0
    run_until(world, "distiller-0")
    world.now_s += 20.0
    world.finish("distiller-0")
    assert world.scheduler.status().useful_s == 50.0


def test_the_time_of_the_distillers_is_useful_or_wasted_to_the_second() -> None:
    world = World([build_of(name) for name in ("good", "bad", "lost")], distillers=1, slots=3)
    run_until(world, "distiller-0")
    world.now_s += 30.0  # three fields, 10 s each
    world.finish("distiller-0")
    world.obey()
    world.now_s += 20.0  # two fields, 10 s each
    world.finish("distiller-0", failure=Failure("empty", "nothing to see"))
    world.obey()
    status = world.scheduler.status()
    assert (status.useful_s, status.wasted_s) == (10.0, 20.0)
    assert status.failure_classes == {"empty": 1}
    assert status.workers["distiller"] == 1
    world.now_s += 5.0  # alone
    world.die("distiller-0")
    status = world.scheduler.status()
    assert (status.useful_s, status.wasted_s) == (10.0, 45.0)
    assert status.workers["distiller"] == 0


def test_37_what_distillers_were_held_for_is_useful_wasted_or_idle_and_sums_to_the_time_that_passed() -> None:
    world = World([build_of(name) for name in ("good", "lost", "open")], distillers=2, slots=2)
    for _ in range(2):
        world.obey()
        world.start_all()
        world.obey()
        world.now_s += 10.0
        for worker in sorted(world.running):
            world.finish(worker)
        world.now_s += 3.0  # nobody is told anything
    world.obey()
    status = world.scheduler.status()
    assert status.optimizer_s["useful"] > 0.0
    assert status.optimizer_s["idle"] > 0.0
    assert sum(status.optimizer_s.values()) == pytest.approx(2 * 26.0)
