"""Outcomes as records: what stands, whose it is, and what it says about its cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.errors import KeyMismatch, RowError
from dreamfoundry.identity import digest
from dreamfoundry.library.library import Library
from dreamfoundry.library.rows import BAD_ROW
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome, Prompt
from dreamfoundry.run.messages import Decision, Failure
from dreamfoundry.run.outcomes import (
    bad_row_outcome,
    checked_builds,
    decision_of,
    publish,
    quarantined_outcome,
    request_provenance,
)
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.recipe import Recipe
from support.dated_library import DatedStore
from support.real_builds import POLICY, PRIOR, real_build

BUILD = real_build(Prompt("one", "a ball"))
FLAT = Failure("flat", "thin as paper")


def test_the_first_outcome_of_a_key_stands_and_a_second_writer_gets_it_back(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    first = quarantined_outcome(BUILD, FLAT, 1, {"run_id": "first"})
    second = quarantined_outcome(BUILD, Failure("empty", "nothing"), 1, {"run_id": "second"})

    assert publish(library, first, None).message == first.message
    assert publish(library, second, None).message == first.message


def test_the_time_of_a_decision_is_that_of_the_store(tmp_path: Path) -> None:
    library = Library(DatedStore(tmp_path))

    decided = publish(library, quarantined_outcome(BUILD, FLAT, 1, {}), None)

    assert decided.provenance["created_at"] == "2001-09-09T01:46:40Z"
    assert library.get_outcome(decided.asset_key) == decided


def test_a_decision_is_ours_by_the_run_in_its_provenance() -> None:
    outcome = quarantined_outcome(BUILD, FLAT, 2, {"run_id": "first"})

    assert decision_of(outcome, "first") == Decision("quarantined", FLAT)
    assert decision_of(outcome, "second") == Decision("quarantined", FLAT, is_ours=False)


def test_a_published_outcome_has_no_failure() -> None:
    outcome = replace(quarantined_outcome(BUILD, FLAT, 1, {"run_id": "first"}), state="published")
    assert decision_of(outcome, "first").failure is None


def test_a_quarantined_outcome_records_tries_profile_and_cost() -> None:
    outcome = quarantined_outcome(BUILD, FLAT, 2, {"run_id": "first"})

    assert (outcome.state, outcome.failure_class, outcome.tries) == ("quarantined", "flat", 2)
    assert outcome.provenance["run_id"] == "first"
    assert outcome.provenance["budget_profile"] == ExportProfile().name
    assert {"candidates", "steps_spent", "step_budget", "created_at"} <= outcome.provenance.keys()


def bad_row(**changes: Any) -> Outcome:
    values = {"row": 3, "prompt_id": "fog", "part": "a.parquet", "prompt": "a fog", "content": "12" * 32}
    return bad_row_outcome(RowError("seed = -1: must be 0 or more", **{**values, **changes}), {"run_id": "first"})


def test_a_bad_row_is_known_by_its_id_and_its_content_wherever_it_stands() -> None:
    for elsewhere in ({"row": 4}, {"part": "b.parquet"}, {"row": 100, "part": ""}):
        assert bad_row(**elsewhere).asset_key == bad_row().asset_key
    for other in ({"content": "34" * 32}, {"prompt_id": "mist"}, {"prompt_id": None}):
        assert bad_row(**other).asset_key != bad_row().asset_key


def test_a_bad_row_shows_its_prompt_and_its_fault_and_the_request_of_its_key() -> None:
    outcome = bad_row()

    assert (outcome.failure_class, outcome.prompt_id, outcome.prompt) == (BAD_ROW, "fog", "a fog")
    assert outcome.message == "seed = -1: must be 0 or more"
    request = outcome.provenance["request"]
    assert isinstance(request, dict)
    assert digest(request["asset"]) == outcome.asset_key


def test_a_bad_row_without_an_id_gets_one_of_its_content() -> None:
    assert bad_row(prompt_id=None).prompt_id == "row-121212121212"
    assert bad_row(prompt_id=None, row=9).prompt_id == "row-121212121212"


def test_bad_rows_whose_content_is_not_known_are_told_apart_by_their_messages() -> None:
    keys = {bad_row_outcome(RowError(text, row=1), {}).asset_key for text in ("no id", "no prompt")}

    assert len(keys) == 2


def test_the_request_of_a_build_makes_its_keys() -> None:
    request = request_provenance(BUILD, PRIOR, POLICY)["request"]

    assert isinstance(request, dict)
    assert (digest(request["field"]), digest(request["asset"])) == (BUILD.field_key, BUILD.asset_key)
    assert (request["field"]["prompt"], request["asset"]["profile"]["name"]) == ("a ball", ExportProfile().name)


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": Prompt("one", "a blue car")},
        {"prompt": Prompt("one", "a ball", negative_text="blurry")},
        {"prompt": Prompt("one", "a ball", seed=1)},
        {"prompt": Prompt("one", "a ball", view_texts={"back": "its back"})},
        {"prompt": Prompt("one", "a ball", target_height_m=2.0)},
        {"recipe": with_overrides(Recipe(), {"optimize.num_steps": 3})},
        {"profile": ExportProfile("other", (500,), (64,))},
        {"asset_key": "ab" * 32},
        {"field_key": "ab" * 32},
    ],
    ids=str,
)
def test_43_a_build_under_the_key_of_another_request_is_refused_with_both_keys(changes: dict[str, Any]) -> None:
    wrong = replace(BUILD, **changes)

    with pytest.raises(KeyMismatch, match=r"one: the (field|asset) key of its build is \w{64}, .* make \w{64}"):
        request_provenance(wrong, PRIOR, POLICY)
    with pytest.raises(KeyMismatch):
        list(checked_builds([BUILD, wrong], PRIOR, POLICY))


def test_a_build_of_another_prior_or_policy_is_refused() -> None:
    for prior, policy in ((replace(PRIOR, digest="1" * 64), POLICY), (PRIOR, MetadataPolicy(embed_prompt=False))):
        with pytest.raises(KeyMismatch):
            request_provenance(BUILD, prior, policy)
