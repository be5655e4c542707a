"""The plan of a run: which assets are to be made, which exist, and how the rows stand in the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dreamfoundry.errors import Stopped
from dreamfoundry.library.library import Library, outcome_key
from dreamfoundry.library.projections import publish_projections
from dreamfoundry.library.rows import Row
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome, OutcomeState, Prompt
from dreamfoundry.run.messages import Failure
from dreamfoundry.run.outcomes import quarantined_outcome
from dreamfoundry.run.planning.plan import EVERY_CLASS, Plan, Tally
from dreamfoundry.run.planning.resolution import PlanInputs, Resolver
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

PRIOR = PriorIdentity("toybox", "1", "0" * 64, "Apache-2.0")
CHAIR, TABLE = Prompt("chair", "a chair"), Prompt("table", "a table")
STOOL = Prompt("stool", "a chair")  # the same asset as the chair


NOTHING_SPECIAL = Recipe()


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(DirectoryStore(tmp_path))


def plan_of(library: Library, *prompts: Prompt, retry_class: str = "", recipe: Recipe = NOTHING_SPECIAL) -> Plan:
    return Plan(
        prompts,
        library,
        PlanInputs(recipe, export_profile("preview"), PRIOR),
        retry_class=retry_class,
    )


def quarantine(library: Library, plan: Plan, failure_class: str) -> None:
    """Give up the first asset that is open."""
    build = next(plan.builds())
    library.publish(quarantined_outcome(build, Failure(failure_class, "why"), 1, {}))


def test_rows_that_ask_for_the_same_asset_share_one_build(library: Library) -> None:
    plan = plan_of(library, CHAIR, TABLE, STOOL)

    assert plan.num_builds == 2
    assert [build.prompt_ids for build in plan.builds()] == [("chair", "stool"), ("table",)]
    assert [row.prompt_id for row in plan.rows()] == ["chair", "table", "stool"]


def test_rows_keep_their_tags_and_their_priority(library: Library) -> None:
    tagged = Prompt("chair", "a chair", tags=("wood", "Bäume, alt", '"quoted"'), priority=-3)
    (build,) = plan_of(library, tagged).builds()

    assert list(plan_of(library, tagged).rows()) == [Row("chair", build.asset_key, tagged.tags, -3)]


def test_a_build_has_the_tags_of_all_its_rows_each_once(library: Library) -> None:
    rows = [replace(CHAIR, tags=("wood", "old")), replace(STOOL, tags=("bar", "wood")), replace(TABLE, tags=("metal",))]

    assert [build.prompt.tags for build in plan_of(library, *rows).builds()] == [("wood", "old", "bar"), ("metal",)]


def test_a_row_counts_where_its_asset_ends(library: Library) -> None:
    plan = plan_of(library, CHAIR, TABLE, STOOL)
    chair, table = plan.builds()
    assert plan.tally() == Tally(0, 0, 0, 3, {})

    plan.decide(chair.asset_key, "published", "", is_ours=True)
    plan.decide(table.asset_key, "quarantined", "empty", is_ours=True)
    assert plan.tally() == Tally(published=2, quarantined=1, skipped=0, pending=0, failure_classes={"empty": 1})
    assert plan.quarantined_rows(10) == [("table", table.asset_key)]
    assert plan.num_builds == 0


def test_what_another_run_decided_is_skipped_and_its_failures_still_count(library: Library) -> None:
    plan = plan_of(library, CHAIR, TABLE)
    chair, table = plan.builds()
    plan.decide(chair.asset_key, "published", "", is_ours=False)
    plan.decide(table.asset_key, "quarantined", "flat", is_ours=False)

    assert plan.tally() == Tally(0, 0, skipped=2, pending=0, failure_classes={"flat": 1})


def test_outcomes_that_exist_are_left_alone(library: Library) -> None:
    quarantine(library, plan_of(library, CHAIR, TABLE), "empty")
    plan = plan_of(library, CHAIR, TABLE)

    assert [build.prompt.prompt_id for build in plan.builds()] == ["table"]
    assert plan.tally() == Tally(0, 0, skipped=1, pending=1, failure_classes={"empty": 1})


@pytest.mark.parametrize(("retry_class", "is_retried"), [("empty", True), (EVERY_CLASS, True), ("flat", False)])
def test_quarantined_assets_are_tried_again_on_request(library: Library, retry_class: str, is_retried: bool) -> None:
    quarantine(library, plan_of(library, CHAIR), "empty")
    builds = list(plan_of(library, CHAIR, retry_class=retry_class).builds())

    assert len(builds) == is_retried
    for build in builds:
        assert build.instead_of is not None
        assert build.instead_of.failure_class == "empty"


def test_a_field_that_was_stored_meanwhile_needs_only_its_export(library: Library) -> None:
    plan = plan_of(library, CHAIR, TABLE)
    builds = plan.builds()
    first = next(builds)
    assert first.snapshot is None

    ref = library.put_blob(b"a field", "application/x-npz")
    library.record_field(next(plan.builds()).field_key, ref)
    assert next(plan.builds()).snapshot == ref


def publish(library: Library, plan: Plan, created_at: str = "2025-01-01T00:00:00Z") -> str:
    """Publish the first asset that is open; returns its key."""
    build = next(plan.builds())
    library.publish(
        Outcome(
            build.asset_key,
            build.field_key,
            build.prompt.prompt_id,
            build.prompt.text,
            "published",
            slug="a",
            provenance={"created_at": created_at},
        )
    )
    return build.asset_key


def show(library: Library, *prompts: Prompt) -> None:
    publish_projections(library, "run-1", plan_of(library, *prompts).rows())


def test_06_a_library_that_shows_all_outcomes_of_all_rows_needs_no_publishing(library: Library) -> None:
    publish(library, plan_of(library, CHAIR, TABLE))
    quarantine(library, plan_of(library, CHAIR, TABLE), "empty")
    assert not plan_of(library, CHAIR, TABLE).is_projected()

    show(library, CHAIR, TABLE)

    assert plan_of(library, CHAIR, TABLE).is_projected()
    assert plan_of(library, CHAIR).is_projected()
    assert not plan_of(library, CHAIR, TABLE, STOOL).is_projected(), "the stool is not in the catalog"
    library.store.delete("index.html")
    assert not plan_of(library, CHAIR, TABLE).is_projected(), "the last thing that is written is missing"


def test_an_empty_library_still_gets_its_page(library: Library) -> None:
    assert not plan_of(library, CHAIR).is_projected()


@pytest.mark.parametrize("end", ["published", "quarantined"])
def test_an_outcome_of_this_run_is_to_be_shown(library: Library, end: OutcomeState) -> None:
    publish(library, plan_of(library, CHAIR))
    show(library, CHAIR)
    plan = plan_of(library, CHAIR, TABLE)
    plan.decide(next(plan.builds()).asset_key, end, "", is_ours=True)

    assert not plan.is_projected()


def test_an_outcome_that_another_run_left_unshown_is_to_be_shown(library: Library) -> None:
    publish(library, plan_of(library, CHAIR))
    show(library, CHAIR)
    publish(library, plan_of(library, TABLE))

    assert not plan_of(library, CHAIR).is_projected()


def test_what_another_run_tried_again_is_to_be_shown(library: Library) -> None:
    quarantine(library, plan_of(library, CHAIR), "empty")
    show(library, CHAIR)
    (build,) = plan_of(library, CHAIR, retry_class=EVERY_CLASS).builds()
    again = quarantined_outcome(build, Failure("flat", "why"), 1, {})
    later = replace(again, provenance={**again.provenance, "created_at": "2999-01-01T00:00:00Z"})
    assert library.publish(later, instead_of=build.instead_of)

    assert not plan_of(library, CHAIR).is_projected()


def test_06_what_is_shown_as_published_is_not_read_again(library: Library) -> None:
    key = publish(library, plan_of(library, CHAIR))
    show(library, CHAIR)
    library.store.put(outcome_key(key), b"not to be read", "text/plain")

    plan = plan_of(library, CHAIR)

    assert plan.tally() == Tally(0, 0, skipped=1, pending=0, failure_classes={})
    assert plan.is_projected()


def test_the_most_urgent_asset_of_the_whole_manifest_comes_first(library: Library) -> None:
    last = Prompt("last", "a lamp", priority=1)
    plan = plan_of(library, CHAIR, TABLE, replace(STOOL, priority=9), last)

    builds = list(plan.builds())

    assert [build.prompt.prompt_id for build in builds] == ["chair", "last", "table"]
    assert [build.prompt.priority for build in builds] == [9, 1, 0]


def test_a_build_is_made_of_the_prompt_of_its_own_key(library: Library) -> None:
    plan = plan_of(library, CHAIR, TABLE, STOOL)
    resolver = Resolver(PlanInputs(Recipe(), export_profile("preview"), PRIOR))

    for build in plan.builds():
        assert resolver.resolve(build.prompt).asset_key == build.asset_key


def test_the_manifest_is_read_once(library: Library) -> None:
    plan = Plan(iter([CHAIR, TABLE]), library, PlanInputs(Recipe(), export_profile("preview"), PRIOR))

    assert [build.prompt.text for build in plan.builds()] == ["a chair", "a table"]
    assert len(list(plan.builds())) == 2


def test_planning_counts_rows_and_ends_with_what_the_counter_raises(library: Library) -> None:
    def count(counted: str, number: int) -> None:
        if (counted, number) == ("rows planned", 2):
            raise Stopped("at row 2")

    inputs = PlanInputs(Recipe(), export_profile("preview"), PRIOR)
    with pytest.raises(Stopped, match="at row 2"):
        Plan([CHAIR, TABLE, STOOL], library, inputs, on_progress=count)


def test_07_one_changed_prompt_of_a_hundred_is_one_rebuild_and_another_recipe_a_hundred(library: Library) -> None:
    prompts = [Prompt(f"row-{n}", f"a toy number {n}") for n in range(100)]
    plan = plan_of(library, *prompts)
    for build in plan.builds():
        library.publish(quarantined_outcome(build, Failure("empty", "why"), 1, {}))

    assert plan_of(library, *prompts).num_builds == 0
    changed = [replace(prompts[0], text="another toy"), *prompts[1:]]
    assert [build.prompt.text for build in plan_of(library, *changed).builds()] == ["another toy"]
    longer = with_overrides(Recipe(), {"optimize.num_steps": 7})
    assert plan_of(library, *prompts, recipe=longer).num_builds == 100
