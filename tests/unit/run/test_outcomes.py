"""Outcomes as records: what stands, whose it is, and what it says about its cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dreamfoundry.errors import RowError
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Prompt
from dreamfoundry.run.messages import Build, Decision, Failure
from dreamfoundry.run.outcomes import BAD_ROW, bad_row_outcome, decision_of, publish, quarantined_outcome
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.recipe import Recipe

BUILD = Build("ab" * 32, "cd" * 32, Prompt("one", "a ball"), ("one",), Recipe(), ExportProfile())
FLAT = Failure("flat", "thin as paper")


def test_the_first_outcome_of_a_key_stands_and_a_second_writer_gets_it_back(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    first = quarantined_outcome(BUILD, FLAT, 1, {"run_id": "first"})
    second = quarantined_outcome(BUILD, Failure("empty", "nothing"), 1, {"run_id": "second"})

    assert publish(library, first, None) == first
    assert publish(library, second, None) == first


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


def test_a_bad_row_has_a_key_of_its_place_in_the_manifest() -> None:
    here = bad_row_outcome(RowError("text: empty", row=3), "12" * 32, {})
    elsewhere = bad_row_outcome(RowError("text: empty", row=4), "12" * 32, {})

    assert (here.failure_class, here.prompt_id) == (BAD_ROW, "row-3")
    assert here.asset_key != elsewhere.asset_key
