"""Garbage is taken away, and whatever an outcome names never is.

Time is that of a clock which the tests move; it is also the one by which files are dated.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamfoundry.errors import ObjectMissing
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.garbage import MIN_AGE_S, remove_garbage
from dreamfoundry.library.leases import Leases
from dreamfoundry.library.library import RENEWED_AFTER_S, Library, blob_key, outcome_key, trash_key
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.s3.store import S3Store
from dreamfoundry.records import Outcome
from support.dated_library import DAY_S, FIELD, TEXT, WEEK_S, DatedStore, collect, kinds, later, published
from support.processes import run_job


@pytest.fixture
def dated(tmp_path: Path) -> DatedStore:
    return DatedStore(tmp_path / "library")


@pytest.fixture
def library(dated: DatedStore) -> Library:
    return Library(dated)


def test_a_blob_that_nothing_names_goes_when_it_is_old(library: Library, dated: DatedStore) -> None:
    orphan = library.put_blob(b"orphan", TEXT)

    assert collect(library) == []
    later(dated)
    assert collect(library) == [("removed", "blob")]
    with pytest.raises(ObjectMissing):
        library.get_blob(orphan)


def test_what_outcomes_and_fields_name_stays_for_ever(library: Library, dated: DatedStore) -> None:
    file, snapshot, field = (library.put_blob(data, TEXT) for data in (b"file", b"snapshot", b"field"))
    library.publish(published(file, snapshot=snapshot))
    library.record_field(FIELD, field)
    later(dated, 1000 * DAY_S)

    assert collect(library) == []
    assert [library.get_blob(ref) for ref in (file, snapshot, field)] == [b"file", b"snapshot", b"field"]


def test_a_checkpoint_stays_while_its_field_is_undecided(library: Library, dated: DatedStore) -> None:
    checkpoints = Checkpoints(dated)
    checkpoints.save(FIELD, epoch=1, num_steps=100, data=b"moments")
    later(dated)

    assert collect(library) == []
    assert [checkpoints.read(name) for name in checkpoints.names(FIELD)] == [b"moments"]


def test_an_outcome_of_another_version_still_protects_what_it_names(library: Library, dated: DatedStore) -> None:
    ref = library.put_blob(b"mesh", TEXT)
    dated.put(outcome_key("ab" * 32), f'{{"schema":"outcome.v9","x":["{ref.sha256}"]}}'.encode(), TEXT)
    later(dated)

    assert collect(library) == []


def test_checkpoints_and_leases_of_decided_fields_go_and_those_of_others_stay(
    library: Library, dated: DatedStore
) -> None:
    leases = Leases(dated)
    for field in (FIELD, "ef" * 32):
        leases.acquire(field, "run", ttl_s=120.0)
        Checkpoints(dated).save(field, epoch=1, num_steps=100, data=b"moments")
    dated.put("leases/doctor-00ff/once", b"", TEXT)
    library.publish(published())
    later(dated)

    assert kinds(library) == ["checkpoint", "lease", "lease"]
    assert len(collect(library)) == 3
    assert leases.read("ef" * 32) is not None
    assert leases.read(FIELD) is None
    assert list(dated.list("checkpoints/")) == Checkpoints(dated).names("ef" * 32)
    assert len(Checkpoints(dated).names("ef" * 32)) == 1


def test_a_retry_that_goes_on_keeps_its_lease_and_checkpoints_although_a_quarantine_stands(
    library: Library, dated: DatedStore
) -> None:
    library.publish(Outcome("ab" * 32, FIELD, "row-1", "fog", "quarantined", failure_class="empty"))
    later(dated)
    Leases(dated).acquire(FIELD, "retry", ttl_s=120.0)
    Checkpoints(dated).save(FIELD, epoch=1, num_steps=100, data=b"moments")

    assert collect(library) == []


def test_half_written_files_go_when_they_are_old(library: Library, dated: DatedStore, tmp_path: Path) -> None:
    left = tmp_path / "library" / ".staging" / "0123"
    left.write_bytes(b"half")
    os.utime(left, (dated.clock_s, dated.clock_s))

    assert kinds(library) == []
    later(dated)
    assert collect(library) == [("removed", "upload")]
    assert not left.exists()


def test_the_trash_is_emptied_after_the_same_time_again(library: Library, dated: DatedStore) -> None:
    orphan = library.put_blob(b"orphan", TEXT)
    later(dated)
    collect(library)

    assert dated.exists(trash_key(orphan.sha256))
    assert collect(library) == []
    later(dated)
    assert collect(library) == [("removed", "trash")]
    assert list(dated.list()) == []


def test_an_old_orphan_that_is_made_again_is_renewed(library: Library, dated: DatedStore) -> None:
    ref = library.put_blob(b"mesh", TEXT)
    later(dated)

    library.put_blob(b"mesh", TEXT)

    assert collect(library) == []
    later(dated, RENEWED_AFTER_S / 2.0)
    modified = dated.stat(blob_key(ref.sha256))
    library.put_blob(b"mesh", TEXT)
    assert dated.stat(blob_key(ref.sha256)) == modified, "what is young is not written again"


def test_a_blob_in_the_trash_that_an_outcome_names_comes_back(library: Library, dated: DatedStore) -> None:
    ref = library.put_blob(b"mesh", TEXT)
    later(dated)
    collect(library)
    dated.put(outcome_key("ab" * 32), f'"{ref.sha256}"'.encode(), TEXT)  # as by a writer that slept for a week
    later(dated, WEEK_S / 2.0)

    assert collect(library) == [("restored", "blob")]
    assert library.get_blob(ref) == b"mesh"


def test_an_age_that_runs_do_not_count_on_is_refused(library: Library) -> None:
    with pytest.raises(ValueError, match="must be at least 86400"):
        list(remove_garbage(library, MIN_AGE_S - 1.0))


def test_collections_work_on_s3_as_on_a_directory(
    new_s3_store: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_s3_store()
    library = Library(store)
    orphan, named = library.put_blob(b"orphan", TEXT), library.put_blob(b"named", TEXT)
    store.begin_parts(blob_key("0" * 64))
    library.publish(published(named))
    then_s = time.time() + WEEK_S + 60.0
    later_store = new_s3_store()
    monkeypatch.setattr(later_store, "now_s", lambda: then_s)

    assert [kind for kind in kinds(library) if kind != "upload"] == []  # moto dates every upload 2010
    assert collect(Library(later_store)) == [("removed", "blob"), ("removed", "upload")]
    assert not store.exists(blob_key(orphan.sha256))
    assert store.get(trash_key(orphan.sha256)) == b"orphan"
    assert library.get_blob(named) == b"named"
    assert list(store.unfinished()) == []


def gc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_job("gc.py", *arguments)


def test_the_program_changes_nothing_until_it_is_told_to(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    ref = Library(store).put_blob(b"orphan", TEXT)
    path = tmp_path / blob_key(ref.sha256)
    os.utime(path, (time.time() - 8 * DAY_S,) * 2)

    shown = gc(str(tmp_path))
    assert (shown.returncode, path.exists()) == (0, True)
    assert f"would go  blob {blob_key(ref.sha256)}, 6 bytes, 8.0 days old" in shown.stdout
    kept = gc(str(tmp_path), "--older-than-days", "9", "--delete")
    assert (kept.returncode, path.exists()) == (0, True)
    removed = gc(str(tmp_path), "--delete")
    assert (removed.returncode, path.exists()) == (0, False)
    assert "1 objects of 0.0 MB removed" in removed.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["library", "--older-than-days", "0.5"], ["library", "--older-than-days", "x"]]
)
def test_a_command_line_that_cannot_be_used_ends_with_4(arguments: list[str]) -> None:
    done = gc(*arguments)

    assert done.returncode == 4
    assert "error:" in done.stderr
