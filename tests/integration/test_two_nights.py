"""Two nights of real runs: what a row says reaches the catalog, and what was mended leaves it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from dreamfoundry.identity import digest
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.build import build_library
from dreamfoundry.run.request import RunRequest


def catalog_of(library: Library) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(io.BytesIO(library.store.get("catalog/catalog.parquet"))).to_pylist()
    return {row["prompt_id"]: row for row in rows}


def require_recomputable(library: Library) -> None:
    """Every outcome, of assets and of bad rows, stands under the digest of the request in it."""
    for outcome in library.outcomes():
        request = outcome.provenance["request"]
        assert isinstance(request, dict)
        assert digest(request["asset"]) == outcome.asset_key
    audit = Audit(library)
    assert list(audit.defects()) == []
    assert audit.num_older == 0


@pytest.mark.slow
def test_tags_change_and_a_bad_row_is_mended_from_one_night_to_the_next(
    request_of: Callable[..., RunRequest], write_manifest: Callable[..., str]
) -> None:
    request = replace(request_of(["one"]), quarantine_bad_rows=True, recipe_name="balls")
    library = Library(open_store(request.library))
    rows: dict[str, list[Any]] = {"prompt_id": ["one", "two"], "prompt": ["a ball one", "a ball two"], "seed": [3, -1]}

    write_manifest(**rows, tags=[["round", "red"], ["round"]], priority=[1, 0])
    first = build_library(request, io.StringIO()).report
    assert (first.published, first.failure_classes) == (1, {"bad_row": 1})
    shown = catalog_of(library)
    assert (shown["one"]["tags"], shown["one"]["priority"], shown["one"]["seed"]) == (["round", "red"], 1, 3)
    assert (shown["one"]["recipe_name"], shown["one"]["is_current"]) == ("balls", True)
    assert {file["role"] for file in shown["one"]["files"]} >= {"level", "thumbnail", "metadata"}
    assert (shown["two"]["failure_class"], shown["two"]["prompt"]) == ("bad_row", "a ball two")
    told = json.loads(library.store.get(f"assets/one/{shown['one']['asset_key']}/asset.json"))["provenance"]
    assert (told["tags"], told["prompt_ids"]) == (["round", "red"], ["one"])
    require_recomputable(library)

    # the bad row moves, and stays the row that it was
    moved = {name: [values[1], values[0]] for name, values in rows.items()}
    write_manifest(**moved, tags=[["round"], ["round", "red"]], priority=[0, 1])
    build_library(request, io.StringIO())
    assert len(list(library.outcomes())) == 2

    write_manifest(**{**rows, "seed": [3, 1]}, tags=[["blue"], None], priority=[1, 0])
    second = build_library(request, io.StringIO()).report
    assert (second.published, second.skipped, second.quarantined) == (1, 1, 0)
    shown = catalog_of(library)
    assert {name: (row["state"], row["tags"]) for name, row in shown.items()} == {
        "one": ("published", ["blue"]),
        "two": ("published", []),
    }
    assert b"<li>blue</li>" in library.store.get("index.html")
    require_recomputable(library)
