"""Verifying a library makes the keys of every outcome again from the request that stands in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.asset.files.metadata import prompt_sha256
from dreamfoundry.identity import digest
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library, outcome_key
from dreamfoundry.library.projections import publish_projections
from dreamfoundry.library.rows import Row
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome

ASKED = {"schema": "field_key.v1", "prompt": "a chair", "seed": 1}
FIELD = digest(ASKED)
DELIVERED = {"schema": "asset_key.v1", "field_key": FIELD, "profile": {"name": "preview"}}
KEY = digest(DELIVERED)
BLUE = {**ASKED, "prompt": "a blue car"}


@pytest.mark.parametrize(
    ("request_", "changes", "problem"),
    [
        ({"field": ASKED, "asset": DELIVERED}, {}, ""),
        ({"field": BLUE, "asset": DELIVERED}, {}, f"makes {digest(BLUE)}; shows the prompt 'a chair'"),
        ({"field": {**ASKED, "seed": 2}, "asset": DELIVERED}, {}, f"under the field key {FIELD}, but its request"),
        ({"field": ASKED, "asset": {**DELIVERED, "profile": {}}}, {}, "under the asset key"),
        ({"field": ASKED, "asset": DELIVERED}, {"field_key": "f" * 64}, f"its request asks for {FIELD}"),
        ({"field": ASKED, "asset": DELIVERED}, {"prompt": "a blue car"}, "shows the prompt 'a blue car', but"),
        ({"asset": DELIVERED}, {}, "its request makes none"),
        ({}, {}, "under the asset key"),
        ("a chair", {}, "under the asset key"),
        ({"field": [], "asset": 3}, {}, "under the asset key"),
    ],
)
def test_43_an_outcome_must_stand_under_the_keys_of_the_request_in_it(
    tmp_path: Path, request_: Any, changes: Any, problem: str
) -> None:
    library, key = Library(DirectoryStore(tmp_path)), digest(DELIVERED)
    outcome = Outcome(key, FIELD, "chair", "a chair", "quarantined", provenance={"request": request_})
    library.publish(replace(outcome, **changes))
    publish_projections(library, "run-1", [Row("chair", key)])
    audit = Audit(library)

    found = [(defect.key, defect.problem) for defect in audit.defects()]

    assert [key for key, _ in found] == ([outcome_key(key)] if problem else [])
    assert all(problem in text for _, text in found)
    assert audit.num_older == 0


def test_outcomes_of_versions_that_recorded_no_request_are_counted_and_no_defects(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    for number in range(3):
        library.publish(Outcome(f"{number:064x}", FIELD, "chair", "a chair", "quarantined"))
    publish_projections(library, "run-1", [])
    audit = Audit(library)

    assert list(audit.defects()) == []
    assert audit.num_older == 3


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({}, ""),
        ({"asset_key": KEY, "field_key": FIELD, "prompt_sha256": prompt_sha256("a chair")}, ""),
        ({"asset_key": "ab" * 32}, f"asset_key = '{'ab' * 32}' in its asset.json, must be {KEY}"),
        ({"field_key": "ab" * 32}, "has files of another asset: field_key"),
        ({"prompt_sha256": prompt_sha256("a blue car")}, "has files of another asset: prompt_sha256"),
        ("text", ""),
        (None, "has an asset.json that is no JSON"),
    ],
)
def test_43_an_outcome_must_have_files_of_its_own_asset(tmp_path: Path, metadata: Any, problem: str) -> None:
    library = Library(DirectoryStore(tmp_path))
    sidecar = b"{" if metadata is None else json.dumps({"metadata": metadata}).encode()
    files = {"asset.json": library.put_blob(sidecar, "application/json")}
    library.publish(Outcome(KEY, FIELD, "chair", "a chair", "quarantined", files=files))
    publish_projections(library, "run-1", [])

    found = [defect.problem for defect in Audit(library).defects()]

    assert len(found) == bool(problem)
    assert all(problem in text for text in found)
