"""The scheduler in a small world in which workers finish, fail, crash and die at random."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dreamfoundry.run.messages import (
    Blame,
    Build,
    Export,
    Failure,
    Fault,
)
from support.scheduler_world import BLOB, World, build_of

builds_of_a_run = st.lists(
    st.builds(
        build_of,
        name=st.sampled_from("abcdefg"),
        recipe=st.integers(0, 1),
        priority=st.integers(0, 2),
        profile=st.sampled_from(["preview", "mobile"]),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda build: build.asset_key,
)


@settings(max_examples=60, deadline=None)
@given(builds=builds_of_a_run, stored=st.sets(st.sampled_from("abcdefg"), max_size=2), data=st.data())
def test_every_build_ends_exactly_once_whatever_happens_in_whatever_order(
    builds: list[Build], stored: set[str], data: st.DataObject
) -> None:
    builds = [replace(b, snapshot=BLOB) if b.prompt.prompt_id in stored else b for b in builds]
    distillers, slots, look_ahead = (data.draw(st.integers(1, most)) for most in (3, 3, 12))
    world = World(builds, distillers=distillers, slots=slots, look_ahead=look_ahead)
    faults = {
        "crash": Fault("bug", crashed=True),
        "glitch": Fault("the store is away"),
        "full": Fault("the memory of the GPU is too small", out_of_memory=True),
    }
    events = st.sampled_from(
        ["start", "no start", "go", "fail", "die", "crash", "glitch", "full", "node lost", "memory", "leave", "lose"]
    )

    for event in data.draw(st.lists(events, max_size=60)):
        world.obey()
        world.now_s += 1.0
        if event in ("start", "no start") and world.starting:
            world.start(data.draw(st.sampled_from(world.starting)), works=event == "start")
        elif event not in ("start", "no start") and world.running:
            worker = data.draw(st.sampled_from(sorted(world.running)))
            is_export = isinstance(world.running[worker], Export)
            if event in ("die", "node lost", "memory"):
                blames: dict[str, Blame] = {"node lost": "node", "memory": "memory"}
                world.die(worker, blames.get(event, "itself"))
            elif event == "leave":
                world.scheduler.leave([worker])
            elif event == "lose":
                world.claims.newly_lost |= world.slot_contents.get(worker, {}).keys()
            elif event == "fail":
                world.finish(worker, failure=Failure("empty", "nothing to see"))
            else:
                world.finish(worker, fault=None if event == "full" and is_export else faults.get(event))

    if world.scheduler.abort_cause is None:
        world.run_to_the_end()
    if world.scheduler.abort_cause is None:
        assert world.outcomes == Counter({build.asset_key: 1 for build in builds})
        fields = {build.field_key for build in builds}
        assert fields - world.claims.ever_lost <= world.claims.forgotten <= fields
    assert max(world.outcomes.values(), default=0) <= 1
    assert max(world.optimized.values(), default=0) <= 1


def test_a_field_is_optimised_once_for_all_the_budgets_that_need_it() -> None:
    world = World([build_of("a", profile="preview"), build_of("a", profile="mobile")], distillers=1)
    world.run_to_the_end()
    assert world.optimized == {"a/0": 1}
    assert world.outcomes == {"a/0/preview": 1, "a/0/mobile": 1}
