"""Verifying looks at leases, checkpoints and runs, too, beside a run at work, and repairs what can be repaired."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dreamfoundry.library import catalog
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.audit.projection_check import SILENT_S
from dreamfoundry.library.audit.repair import repair
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.garbage import remove_garbage
from dreamfoundry.library.leases import Leases, lease_key
from dreamfoundry.library.library import RUNS, SET_ASIDE, Library, blob_key, field_record_key, outcome_key
from dreamfoundry.library.projections import publish_projections
from dreamfoundry.library.rows import Row
from dreamfoundry.library.views import write_view
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import BlobRef, Outcome
from dreamfoundry.run import report
from support.dated_library import DatedStore, later
from support.processes import run_job

TEXT = "text/plain"
KEY, FIELD = "0a" * 32, "0f" * 32
RUN_RECORDS = {RUNS: report.parse}
GATES = b'{"gates": {"khronos": "passed"}}'


def publish(library: Library, snapshot: BlobRef | None = None) -> Outcome:
    files = {"a.glb": library.put_blob(b"glTF", TEXT), "validation.json": library.put_blob(GATES, TEXT)}
    outcome = Outcome(KEY, FIELD, "chair", "a chair", "published", slug="a", files=files, snapshot=snapshot)
    assert library.publish(outcome)
    return outcome


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """One asset, with the snapshot of its field."""
    library = Library(DirectoryStore(tmp_path))
    snapshot = library.put_blob(b"snapshot", TEXT)
    library.record_field(FIELD, snapshot)
    publish(library, snapshot)
    publish_projections(library, "20260101T000000Z-aaaaaa", [Row("chair", KEY)])
    return library


def wrong(library: Library) -> dict[str, str]:
    return {defect.key: defect.kind for defect in Audit(library, RUN_RECORDS).defects()}


def repaired(library: Library) -> list[str]:
    return [mended.key for mended in repair(library, "20270101T000000Z-aaaaaa", RUN_RECORDS)]


def test_leases_checkpoints_and_records_of_runs_that_cannot_be_read_are_defects_until_they_are_set_aside(
    library: Library,
) -> None:
    store = library.store
    assert Leases(store).acquire(FIELD, "one", 60.0) is not None
    Checkpoints(store).save(FIELD, 1, 10, b"sound")
    assert wrong(library) == {}

    Checkpoints(store).save(FIELD, 1, 20, b"damaged")
    checkpoint = Checkpoints(store).names(FIELD)[0]
    keys = [lease_key("1b" * 32), lease_key("1c" * 32), checkpoint, "runs/a/report.json", "runs/a/progress.json"]
    for key in keys:
        store.put(key, store.get(lease_key(FIELD)) if key == keys[1] else b"", TEXT)
    assert wrong(library) == dict.fromkeys(keys, "record")

    assert set(repaired(library)) > set(keys)
    assert wrong(library) == {}
    assert set(store.list(SET_ASIDE)) == {f"{SET_ASIDE}{key}" for key in keys}


def test_a_lost_file_is_brought_back_from_a_view_that_has_its_bytes(library: Library) -> None:
    key = blob_key(library.put_blob(b"glTF", TEXT).sha256)
    library.store.delete(key)

    assert repaired(library)[0] == key
    assert library.store.get(key) == b"glTF"
    assert wrong(library) == {}


def test_an_outcome_whose_file_is_nowhere_is_set_aside_and_its_field_stays(library: Library) -> None:
    outcome = library.get_outcome(KEY)
    assert outcome is not None
    for path in (blob_key(outcome.files["a.glb"].sha256), f"assets/chair/{KEY}/a.glb"):
        library.store.delete(path)

    assert repaired(library)[0] == outcome_key(KEY)
    assert library.get_outcome(KEY) is None
    assert library.find_field(FIELD) == outcome.snapshot

    write_view(library, publish(library, outcome.snapshot))  # as the next run of its manifest does
    publish_projections(library, "20280101T000000Z-aaaaaa", [Row("chair", KEY)])
    assert wrong(library) == {}


def test_a_lost_snapshot_costs_the_record_of_its_field_and_no_asset(library: Library) -> None:
    library.store.delete(blob_key(library.put_blob(b"snapshot", TEXT).sha256))
    library.store.delete("assets/chair/none")
    assert set(wrong(library).values()) == {"blob"}

    assert field_record_key(FIELD) in repaired(library)

    audit = Audit(library, RUN_RECORDS)
    assert list(audit.defects()) == []
    assert audit.num_lost_fields == 1
    assert library.get_outcome(KEY) is not None


def test_a_view_of_an_unrecorded_prompt_id_is_recorded(library: Library) -> None:
    outcome = library.get_outcome(KEY)
    assert outcome is not None
    write_view(library, outcome, "stool")
    assert set(wrong(library).values()) == {"stranger"}

    assert "assets/stool" in repaired(library)
    assert wrong(library) == {}


def test_a_record_of_another_version_is_told_and_left_alone(library: Library) -> None:
    key = field_record_key("1b" * 32)
    library.store.put(key, b'{"schema": "field.v9"}', TEXT)

    assert key not in repaired(library)
    assert wrong(library) == {key: "version"}


def test_what_was_set_aside_is_garbage_after_a_while(tmp_path: Path) -> None:
    store = DatedStore(tmp_path)
    store.put(f"{SET_ASIDE}leases/x", b"", TEXT)
    later(store)

    list(remove_garbage(Library(store), 7 * 86_400.0))

    assert not [*store.list(SET_ASIDE)]


def test_beside_a_run_at_work_projections_are_not_compared(library: Library, tmp_path: Path) -> None:
    library.store.delete(catalog.KEY)
    progress = "runs/20260102T000000Z-bbbbbb/progress.json"
    library.store.put(progress, b"{}", TEXT)

    audit = Audit(library)
    assert list(audit.defects()) == []
    assert audit.live_runs == ["20260102T000000Z-bbbbbb"]

    silent_s = time.time() - SILENT_S - 60.0
    os.utime(tmp_path / progress, (silent_s, silent_s))
    assert [*wrong(library)] == [progress, catalog.KEY], "it is not at work any more"


def test_a_run_that_ends_while_a_library_is_verified_is_seen(library: Library) -> None:
    library.store.delete(catalog.KEY)
    audit = Audit(library)
    defects = audit.defects()

    library.store.put("runs/20260102T000000Z-bbbbbb/report.json", b"{}", TEXT)
    later_s = time.time() + 1.0
    os.utime(Path(library.store.url) / "runs/20260102T000000Z-bbbbbb/report.json", (later_s, later_s))

    assert list(defects) == []
    assert audit.live_runs == ["20260102T000000Z-bbbbbb"]


def test_the_program_says_what_it_mended(library: Library) -> None:
    library.store.put(outcome_key(KEY), b"{", TEXT)

    done = run_job("verify.py", library.store.url, "--repair")

    assert f"mended  {outcome_key(KEY)}: set aside as {SET_ASIDE}{outcome_key(KEY)}" in done.stdout
    assert "mended  views, pointers, catalog and page: made from the outcomes" in done.stdout
    assert done.returncode == 1, "its view shows what nobody knows, until its manifest is run again"
