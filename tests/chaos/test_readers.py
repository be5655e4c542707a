"""Whoever reads a library never sees half an asset, whenever its writer dies."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import publish_projections
from dreamfoundry.library.rows import Row
from dreamfoundry.object_store.open import open_store
from dreamfoundry.object_store.protocol import ObjectStore
from support.mortal_exporter import BUILD
from support.stubs import FILES

MOST_WRITES = 40

pytestmark = pytest.mark.timeout(300)


def export(url: str, num_writes: int) -> int:
    return subprocess.run(
        [sys.executable, "-m", "support.mortal_exporter", url, str(num_writes)], timeout=100
    ).returncode


def require_whole_or_nothing(store: ObjectStore) -> None:
    """Assert what a reader may rely on: an outcome has all its blobs, a pointer has all its files."""
    library = Library(store)
    for outcome in library.outcomes():
        require_whole({name: library.get_blob(ref) for name, ref in outcome.files.items()})
    for key in store.list("assets/"):
        if key.endswith("/latest.json"):
            folder = f"{key.removesuffix('latest.json')}{BUILD.asset_key}"
            require_whole({name: store.get(f"{folder}/{name}") for name in FILES})


def require_whole(files: dict[str, bytes]) -> None:
    """All files as the stages made them; the sidecar has got its provenance."""
    assert "provenance" in json.loads(files["asset.json"])
    assert {**files, "asset.json": FILES["asset.json"]} == FILES


@pytest.mark.parametrize("place", ["directory", pytest.param("s3", marks=pytest.mark.slow)])
def test_01_a_writer_that_dies_between_any_two_writes_leaves_no_asset_or_a_whole_one(
    place: str, tmp_path: Path, s3_url: str
) -> None:
    deaths, states = 0, []
    for num_writes in range(MOST_WRITES):
        url = str(tmp_path / f"library-{num_writes}") if place == "directory" else f"{s3_url}/mortal-{num_writes}"
        code = export(url, num_writes)
        store = open_store(url)
        require_whole_or_nothing(store)
        states.append(len(list(Library(store).outcomes())))
        assert export(url, MOST_WRITES) == 0, "the same command finishes what the dead one began"
        require_whole_or_nothing(store)
        publish_projections(Library(store), "run", [Row(name, BUILD.asset_key) for name in BUILD.prompt_ids])
        defects = [
            defect for defect in Audit(Library(store), silent_s=0.0).defects() if "validat" not in defect.problem
        ]
        assert defects == []
        if code == 0:
            break
        assert code == -signal.SIGKILL
        deaths += 1

    assert deaths >= len(FILES) + 1 + 2 * len(FILES), "it died before each blob, the outcome and each view"
    assert states == sorted(states)
    assert states[0] == 0
    assert states[-1] == 1
