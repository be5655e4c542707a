"""Verifying a library finds what is wrong, and rebuilding brings every projection back byte for byte."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from itertools import starmap
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dreamfoundry.library import catalog, contact_sheet
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.audit.defects import Defect
from dreamfoundry.library.garbage import remove_garbage
from dreamfoundry.library.library import (
    Library,
    blob_key,
    field_record_key,
    latest_key,
    outcome_key,
    trash_key,
    view_key,
)
from dreamfoundry.library.projections import TURN, publish_projections, rebuild
from dreamfoundry.library.rows import ALIASES, BAD_ROWS, ROWS, Row
from dreamfoundry.library.views import write_view
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.records import Outcome
from support.processes import JOBS, run_job

TEXT = "text/plain"
OLD, NEW, LOST, FOG = ("0a" * 32, "0b" * 32, "0c" * 32, "0d" * 32)


def validation(**gates: str) -> bytes:
    return json.dumps(
        {"schema": "validation.v1", "gates": {"khronos": "passed", "watertight": "passed", **gates}}
    ).encode()


def publish(
    library: Library, key: str, prompt_id: str, created_at: str, gates: bytes = validation(), **changes: Any
) -> None:
    files = {
        "a_chair.glb": library.put_blob(f"mesh of {key}".encode(), "model/gltf-binary"),
        "validation.json": library.put_blob(gates, "application/json"),
    }
    snapshot = library.put_blob(b"snapshot", "application/x-npz")
    library.record_field("f" + key[1:], snapshot)
    outcome = Outcome(
        key,
        "f" + key[1:],
        prompt_id,
        "a chair",
        "published",
        slug="a_chair",
        files=files,
        snapshot=snapshot,
        provenance={"created_at": created_at, "findings": []},
    )
    assert library.publish(Outcome(**{**vars(outcome), **changes}))


@pytest.fixture
def library(store: ObjectStore) -> Library:
    """Two assets of one prompt id, one of which is shared by another, and two that were given up."""
    library = Library(store)
    publish(library, OLD, "chair", "2025-01-01T00:00:00Z")
    publish(library, NEW, "chair", "2025-01-02T00:00:00Z")
    for key, prompt_id in ((LOST, "lost"), (FOG, "fog")):
        library.publish(
            Outcome(key, "f" + key[1:], prompt_id, "fog", "quarantined", failure_class="empty", message="no")
        )
    publish_projections(library, "run-1", starmap(Row, {"chair": OLD, "stool": OLD, "lost": LOST, "mist": FOG}.items()))
    publish_projections(library, "run-2", starmap(Row, {"chair": NEW}.items()))
    return library


def projections(library: Library) -> dict[str, bytes]:
    keys = [*library.store.list("assets/"), catalog.KEY, contact_sheet.KEY]
    return {key: library.store.get(key) for key in keys}


def defects(library: Library) -> list[Defect]:
    return list(Audit(library).defects())


def test_a_whole_library_has_no_defects(library: Library) -> None:
    audit = Audit(library)

    assert list(audit.defects()) == []
    assert (audit.num_outcomes, audit.num_blobs, audit.num_views, audit.num_unvalidated) == (4, 4, 3, 0)


def test_36_every_prompt_id_has_its_row_and_its_state(library: Library) -> None:
    rows = pq.read_table(io.BytesIO(library.store.get(catalog.KEY))).to_pylist()

    assert [(row["prompt_id"], row["asset_key"], row["state"]) for row in rows] == [
        ("chair", OLD, "published"),
        ("chair", NEW, "published"),
        ("fog", FOG, "quarantined"),
        ("lost", LOST, "quarantined"),
        ("mist", FOG, "quarantined"),
        ("stool", OLD, "published"),
    ]


def test_36_projections_that_are_gone_come_back_byte_for_byte(library: Library) -> None:
    before = projections(library)
    for key in before:
        library.store.delete(key)

    assert {defect.key for defect in defects(library)} >= {catalog.KEY, contact_sheet.KEY, latest_key("chair")}
    rebuild(library)

    assert projections(library) == before
    assert defects(library) == []


def test_36_projections_that_were_altered_come_back_byte_for_byte(library: Library) -> None:
    before = projections(library)
    for key, data in before.items():
        library.store.put(key, data[:-1] + b"?", TEXT)

    assert len(defects(library)) == 7  # three views, two pointers, catalog and page
    assert all("--rebuild" in defect.remedy for defect in defects(library))
    rebuild(library)

    assert projections(library) == before


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)])
def test_the_latest_is_what_was_decided_last_in_whatever_order_views_are_written(
    store: ObjectStore, order: tuple[str, str]
) -> None:
    library = Library(store)
    for key, created_at in ((OLD, "2025-01-01T00:00:00Z"), (NEW, "2025-01-02T00:00:00Z")):
        publish(library, key, "chair", created_at)

    for key in order:
        outcome = library.get_outcome(key)
        assert outcome is not None
        write_view(library, outcome)

    assert NEW.encode() in store.get(latest_key("chair"))


def test_a_pointer_to_what_does_not_exist_is_corrected(library: Library) -> None:
    library.store.put(latest_key("chair"), b'{"asset_key":"' + b"9" * 64 + b'"}', TEXT)

    assert [defect.key for defect in defects(library)] == [latest_key("chair")]
    rebuild(library)
    assert defects(library) == []


def test_a_second_publication_of_the_same_rows_writes_nothing_but_its_turn(
    store: ObjectStore, library: Library
) -> None:
    def contents() -> dict[str, object]:
        return {stat.key: (*store.read(stat.key), stat.modified_s) for stat in store.stats() if stat.key != TURN}

    before = contents()

    publish_projections(library, "run-3", starmap(Row, {"chair": NEW, "stool": OLD}.items()))

    assert contents() == before


@pytest.mark.parametrize(
    ("data", "problem"), [(b"", "has 0 bytes"), (b"mesh of " + b"0z" * 32, "has SHA-256"), (None, "is missing")]
)
def test_a_blob_that_is_not_what_its_outcome_says_is_named_with_it(
    library: Library, data: bytes | None, problem: str
) -> None:
    outcome = library.get_outcome(OLD)
    assert outcome is not None
    key = blob_key(outcome.files["a_chair.glb"].sha256)
    if data is None:
        library.store.delete(key)
    else:
        library.store.put(key, data, TEXT)

    (defect,) = defects(library)
    assert defect.key == key
    assert problem in defect.problem
    assert outcome_key(OLD) in defect.problem
    assert "put a good copy there" in defect.remedy


def test_a_blob_in_the_trash_is_said_to_come_back(library: Library) -> None:
    outcome = library.get_outcome(OLD)
    assert outcome is not None
    sha256 = outcome.files["a_chair.glb"].sha256
    library.store.copy(blob_key(sha256), trash_key(sha256))
    library.store.delete(blob_key(sha256))

    (defect,) = defects(library)
    assert "dreamfoundry gc --delete" in defect.remedy
    list(remove_garbage(library, 7 * 86_400.0))
    assert defects(library) == []


def test_records_that_cannot_be_read_or_lie_in_the_wrong_place_are_defects(library: Library) -> None:
    store = library.store
    store.put(outcome_key("11" * 32), b"{", TEXT)
    store.put(outcome_key("22" * 32), store.get(outcome_key(FOG)), TEXT)
    store.put(field_record_key("33" * 32), b"[]", TEXT)

    found = {defect.key: defect.problem for defect in defects(library)}
    assert set(found) == {outcome_key("11" * 32), outcome_key("22" * 32), field_record_key("33" * 32)}
    assert found[outcome_key("22" * 32)] == f"is about {FOG}"


@pytest.mark.parametrize("prefix", [ALIASES, ROWS, BAD_ROWS])
def test_a_record_beside_the_outcomes_that_cannot_be_read_is_a_defect(library: Library, prefix: str) -> None:
    library.store.put(f"{prefix}run-9.json", b"{}", TEXT)

    assert [defect.key for defect in defects(library)] == [f"{prefix}run-9.json"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"gates": validation(watertight="block")}, "although refused: watertight"),
        ({"gates": b"not json"}, "without a usable validation.json"),
        ({"provenance": {"created_at": "2025", "findings": ["block height: 3 m"]}}, "although refused: block height"),
        ({"files": {}}, "without a usable validation.json"),
    ],
)
def test_a_published_asset_must_have_passed_its_gates(store: ObjectStore, changes: Any, problem: str) -> None:
    library = Library(store)
    publish(library, NEW, "chair", "2025", **changes)
    publish_projections(library, "run-1", starmap(Row, {"chair": NEW}.items()))

    (defect,) = defects(library)
    assert (defect.key, problem in defect.problem) == (outcome_key(NEW), True)


def test_what_the_khronos_validator_never_saw_is_counted_and_not_called_passed(store: ObjectStore) -> None:
    library = Library(store)
    publish(library, NEW, "chair", "2025", gates=validation(khronos="not_run"))
    publish_projections(library, "run-1", starmap(Row, {"chair": NEW}.items()))
    audit = Audit(library)

    assert list(audit.defects()) == []
    assert audit.num_unvalidated == 1


def test_a_view_that_no_outcome_knows_is_a_defect(library: Library) -> None:
    library.store.put(view_key("stranger", NEW, "view.json"), b"{}", TEXT)

    (defect,) = defects(library)
    assert defect.key == view_key("stranger", NEW, "view.json")


def test_the_program_says_line_by_line_what_is_wrong_and_rebuilds_it(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    publish(library, NEW, "chair", "2025")
    publish_projections(library, "run-1", starmap(Row, {"chair": NEW}.items()))
    before = projections(library)
    (tmp_path / "index.html").unlink()

    wrong = run_job("verify.py", str(tmp_path))
    assert wrong.returncode == 1
    assert "not ok  index.html: is missing; run `dreamfoundry verify --rebuild`\n" in wrong.stdout
    right = run_job("verify.py", str(tmp_path), "--rebuild")
    assert right.returncode == 0
    assert "note    1 outcomes are of an older version: their keys cannot be recomputed\n" in right.stdout
    assert "1 outcomes, 3 blobs" in right.stdout
    assert "nothing is wrong" in right.stdout
    assert projections(library) == before
    (tmp_path / outcome_key(OLD)).parent.mkdir(parents=True)
    (tmp_path / outcome_key(OLD)).write_bytes(b"{")
    unreadable = run_job("verify.py", str(tmp_path), "--rebuild")
    assert unreadable.returncode == 1
    assert outcome_key(OLD) in unreadable.stdout
    assert run_job("verify.py").returncode == 4


def test_the_commands_of_the_operator_load_no_torch_and_no_ray(tmp_path: Path) -> None:
    for command in ("verify", "doctor", "gc", "status"):
        program = (
            f"import sys; from dreamfoundry.cli.main import run; run([{command!r}, {str(tmp_path)!r}]); "
            "print(*{name.partition('.')[0] for name in sys.modules} & {'torch', 'ray', 'transformers', 'diffusers'})"
        )
        environment = {**os.environ, "PYTHONPATH": str(JOBS.with_name("pipeline"))}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
        )
        assert done.stdout.splitlines()[-1] == "", command
