"""Nights on one library: bad rows have one entry until they are mended, and tags are those of the last night."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from dreamfoundry.cli.status import describe
from dreamfoundry.errors import RowError
from dreamfoundry.identity import digest
from dreamfoundry.library import catalog, contact_sheet
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.garbage import remove_garbage
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import publish_projections, rebuild
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.records import Outcome, Prompt
from dreamfoundry.run.outcomes import bad_row_outcome, publish
from dreamfoundry.run.planning.plan import Plan
from dreamfoundry.run.planning.resolution import PlanInputs
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.recipe import Recipe
from support.real_builds import PRIOR

CHAIR = Prompt("chair", "a chair", tags=("wood", "old"), priority=2)
STOOL = Prompt("stool", "a chair", tags=("bar",))  # the same asset
FOG = Prompt("fog", "a fog")
BAD_FOG = RowError(
    "row 7 (fog): seed = -1: must be 0 or more", row=7, prompt_id="fog", prompt="a fog", content="f" * 64
)


class Night:
    """Runs on a library, one after the other, without their workers."""

    def __init__(self, library: Library) -> None:
        self.library, self._number = library, 0

    def run(self, prompts: Sequence[Prompt], bad: Sequence[RowError] = (), *, builds: bool = True) -> bool:
        """One run; True if it wrote the projections. Without `builds` it is stopped before the first asset."""
        self._number += 1
        run_id = f"2026010{self._number}T000000Z-aaaaaa"
        found = [publish(self.library, bad_row_outcome(error, {"run_id": run_id}), None) for error in bad]
        plan = Plan(prompts, self.library, PlanInputs(Recipe(), export_profile("preview"), PRIOR))
        for build in plan.builds() if builds else ():
            at = {"run_id": run_id, "created_at": f"2026-01-0{self._number}T00:00:00Z"}
            self.library.publish(
                Outcome(build.asset_key, build.field_key, build.prompt.prompt_id, "a", "published", provenance=at)
            )
            plan.decide(build.asset_key, "published", "", is_ours=True)

        keys = [outcome.asset_key for outcome in found]
        has_news = not plan.is_projected(keys)
        if has_news:
            publish_projections(self.library, run_id, plan.rows(), keys)
        self.require_sound()
        return has_news

    def require_sound(self) -> None:
        """Verifying finds nothing, and rebuilding brings the same bytes back, after a collection of garbage too."""
        defects = [defect for defect in Audit(self.library).defects() if "validation.json" not in defect.problem]
        assert defects == []
        before = self.summaries()
        list(remove_garbage(self.library, 7 * 86_400.0))
        for key in before:
            self.library.store.delete(key)
        rebuild(self.library)
        assert self.summaries() == before

    def summaries(self) -> dict[str, bytes]:
        return {key: self.library.store.get(key) for key in (catalog.KEY, contact_sheet.KEY)}

    def rows(self) -> dict[str, dict[str, Any]]:
        rows = pq.read_table(io.BytesIO(self.library.store.get(catalog.KEY))).to_pylist()
        assert len({row["prompt_id"] for row in rows}) == len(rows)
        return {row["prompt_id"]: row for row in rows}

    def tags(self) -> dict[str, list[str]]:
        return {prompt_id: row["tags"] for prompt_id, row in self.rows().items()}


@pytest.fixture
def nights(store: ObjectStore) -> Night:
    return Night(Library(store))


def test_tags_and_priority_of_the_first_night_reach_catalog_and_page(nights: Night) -> None:
    nights.run([CHAIR, STOOL, FOG])

    assert nights.tags() == {"chair": ["wood", "old"], "stool": ["bar"], "fog": []}
    assert [row["priority"] for row in nights.rows().values()] == [2, 0, 0]
    assert b"<li>wood</li><li>old</li><li>bar</li>" in nights.library.store.get(contact_sheet.KEY)


def test_44_tags_that_change_while_the_asset_stays_are_shown_as_they_are_now(nights: Night) -> None:
    nights.run([CHAIR, STOOL])
    assert not nights.run([CHAIR, STOOL]), "a second night with the same rows writes nothing"
    assert nights.run([replace(CHAIR, tags=("metal",)), STOOL])
    assert nights.tags() == {"chair": ["metal"], "stool": ["bar"]}
    assert nights.run([replace(CHAIR, tags=(), priority=-1)])
    assert nights.tags() == {"chair": [], "stool": ["bar"]}, "a row that is not asked for keeps its own"
    assert nights.rows()["chair"]["priority"] == -1
    assert not nights.run([replace(CHAIR, tags=(), priority=-1)])


def test_a_bad_row_has_one_entry_however_many_nights_it_stays_bad(nights: Night) -> None:
    assert nights.run([CHAIR], [BAD_FOG])
    moved = RowError(f"row 9 (fog): {BAD_FOG}", row=9, prompt_id="fog", prompt="a fog", content=BAD_FOG.content)
    assert nights.run([STOOL, CHAIR], [moved]), "the stool is new"
    assert not nights.run([CHAIR, STOOL], [moved])

    assert nights.rows()["fog"]["failure_class"] == "bad_row"
    assert nights.rows()["fog"]["prompt"] == "a fog"
    assert [text for subject, text in describe(nights.library) if subject == "library"] == [
        "1 published, 1 quarantined (1 bad_row), 0 runs"
    ]


@pytest.mark.parametrize("builds", [True, False])
def test_44_a_bad_row_goes_when_it_is_mended_even_before_its_asset_is_made(nights: Night, builds: bool) -> None:
    nights.run([CHAIR], [BAD_FOG])
    assert nights.run([CHAIR, FOG], builds=builds)

    assert nights.rows().keys() == ({"chair", "fog"} if builds else {"chair"})
    assert b"bad_row" not in nights.library.store.get(contact_sheet.KEY)
    assert [text for subject, text in describe(nights.library) if subject == "library"] == [
        f"{2 if builds else 1} published, 0 quarantined, 0 runs"
    ]
    assert not nights.run([CHAIR, FOG], builds=False)


def test_a_row_that_was_mended_to_an_asset_that_exists_already_goes_too(nights: Night) -> None:
    nights.run([FOG])
    nights.run([], [BAD_FOG])
    rows = pq.read_table(io.BytesIO(nights.library.store.get(catalog.KEY))).to_pylist()
    assert sorted(row["state"] for row in rows) == ["published", "quarantined"]

    assert nights.run([FOG])
    assert nights.rows()["fog"]["state"] == "published"


def test_a_row_that_is_bad_again_as_it_was_comes_back(nights: Night) -> None:
    nights.run([CHAIR], [BAD_FOG])
    nights.run([CHAIR, FOG], builds=False)
    assert nights.run([CHAIR], [BAD_FOG])
    assert nights.rows()["fog"]["failure_class"] == "bad_row"
    assert not nights.run([CHAIR], [BAD_FOG])
    assert nights.run([CHAIR, FOG], builds=False)
    assert nights.rows().keys() == {"chair"}


def test_a_row_that_is_bad_in_another_way_takes_the_place_of_its_first_entry(nights: Night) -> None:
    nights.run([CHAIR], [BAD_FOG])
    other = RowError("row 7 (fog): seed = -2: must be 0 or more", row=7, prompt_id="fog", content="e" * 64)

    assert nights.run([CHAIR], [other])
    assert nights.rows()["fog"]["message"] == str(other)


def test_bad_rows_of_one_id_in_one_manifest_are_all_shown_beside_a_sound_one(nights: Night) -> None:
    other = RowError("row 8 (fog): seed = -2: must be 0 or more", row=8, prompt_id="fog", content="e" * 64)
    nights.run([FOG], [BAD_FOG, other])

    rows = pq.read_table(io.BytesIO(nights.library.store.get(catalog.KEY))).to_pylist()
    assert sorted(row["state"] for row in rows) == ["published", "quarantined", "quarantined"]


def test_a_bad_row_that_was_taken_out_stays_as_history(nights: Night) -> None:
    nights.run([CHAIR], [BAD_FOG])
    nameless = RowError("row 3: prompt_id = None: must be a name", row=3, content="d" * 64)
    nights.run([CHAIR], [nameless])

    assert nights.rows().keys() == {"chair", "fog", f"row-{'d' * 12}"}
    assert not nights.run([CHAIR])


def test_entries_of_the_version_before_go_as_well_when_their_row_is_mended_or_found_again(nights: Night) -> None:
    for number in range(3):
        key = digest({"schema": "bad_row.v1", "manifest": f"{number}", "row": 7})
        nights.library.publish(
            Outcome(key, "", "fog", "", "quarantined", failure_class="bad_row", message=f"night {number}")
        )
    nights.run([CHAIR], [BAD_FOG])
    assert nights.rows()["fog"]["message"] == str(BAD_FOG)


def test_a_run_that_died_after_it_had_recorded_what_was_mended_is_completed_by_the_next(nights: Night) -> None:
    nights.run([CHAIR], [BAD_FOG])
    before = nights.summaries()
    nights.run([CHAIR, FOG], builds=False)
    for key, data in before.items():  # as if it had died before it wrote them
        nights.library.store.put(key, data, "text/plain")

    assert nights.run([CHAIR], builds=False)
    assert nights.rows().keys() == {"chair"}
