"""Less capacity where memory was short."""

from __future__ import annotations

from dreamfoundry.run.messages import (
    Fault,
    RunSlice,
)
from support.scheduler_world import World, build_of, run_until


def test_where_the_gpu_is_too_small_a_distiller_gets_half_the_slots_and_nobody_is_charged() -> None:
    world = World([build_of(name) for name in "abcd"], distillers=1, slots=4)
    run_until(world, "distiller-0")
    world.finish("distiller-0", fault=Fault("too small", out_of_memory=True))
    world.obey()
    command = world.running["distiller-0"]
    assert isinstance(command, RunSlice)
    assert (command.num_slots, len(command.add)) == (2, 2)
    world.run_to_the_end()
    assert world.outcomes.total() == 4
    assert world.claims.deaths == {}


def test_where_host_memory_is_short_there_is_one_exporter_less_until_the_last_one() -> None:
    world = World([build_of(name, stored=True) for name in "abc"], exporters=2)
    run_until(world, "exporter-1")
    world.die("exporter-1", "memory")
    run_until(world, "exporter-0")
    world.die("exporter-0", "memory")
    world.run_to_the_end()
    assert world.alive == {"exporter-0"}
    assert world.outcomes.total() == 3
