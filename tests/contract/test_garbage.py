"""What is taken away as garbage, and above all what never is: whatever an outcome names.

Time is that of a clock which the tests move; it is also the one by which files are dated.
"""

from __future__ import annotations

import io
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamfoundry.errors import ObjectMissing
from dreamfoundry.library.garbage import MIN_AGE_S, find_garbage, remove_garbage
from dreamfoundry.library.leases import Leases
from dreamfoundry.library.library import RENEWED_AFTER_S, Library, blob_key, outcome_key, trash_key
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.s3.store import S3Store
from dreamfoundry.records import BlobRef, Outcome
from support.processes import run_job

TEXT = "text/plain"
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
FIELD = "cd" * 32


class DatedStore(DirectoryStore):
    """A directory in another time: `clock_s` says what its files are dated and what it is now."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.clock_s = 1_000_000_000.0

    def now_s(self) -> float:
        return self.clock_s

    @contextmanager
    def _staged(self, source: io.BufferedIOBase) -> Iterator[Path]:
        with super()._staged(source) as path:
            os.utime(path, (self.clock_s, self.clock_s))
            yield path


@pytest.fixture
def dated(tmp_path: Path) -> DatedStore:
    return DatedStore(tmp_path / "library")


@pytest.fixture
def library(dated: DatedStore) -> Library:
    return Library(dated)


def published(*blobs: BlobRef, key: str = "ab" * 32, **changes: Any) -> Outcome:
    files = {f"{number}.bin": ref for number, ref in enumerate(blobs)}
    return Outcome(key, FIELD, "row-1", "a red chair", "published", files=files, **changes)


def later(store: DatedStore, seconds: float = WEEK_S + 1.0) -> None:
    store.clock_s += seconds


def collect(library: Library, min_age_s: float = WEEK_S) -> list[tuple[str, str]]:
    """(what was done, to which kind of thing) by a collection."""
    return [(step.verb, step.thing.kind) for step in remove_garbage(library, min_age_s)]


def kinds(library: Library, min_age_s: float = WEEK_S) -> list[str]:
    return [thing.kind for thing in find_garbage(library, min_age_s)]


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


def test_what_a_checkpoint_names_stays_while_its_field_is_undecided(library: Library, dated: DatedStore) -> None:
    state = library.put_blob(b"moments", TEXT)
    dated.put(f"checkpoints/cd/{FIELD}/0001.json", f'{{"sha256":"{state.sha256}"}}'.encode(), TEXT)
    later(dated)

    assert collect(library) == []
    assert library.get_blob(state) == b"moments"


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
        dated.put(f"checkpoints/{field[:2]}/{field}/0001.bin", b"moments", TEXT)
    dated.put("leases/doctor-00ff/once", b"", TEXT)
    library.publish(published())
    later(dated)

    assert kinds(library) == ["checkpoint", "lease", "lease"]
    assert len(collect(library)) == 3
    assert leases.read("ef" * 32) is not None
    assert leases.read(FIELD) is None
    assert list(dated.list("checkpoints/")) == [f"checkpoints/ef/{'ef' * 32}/0001.bin"]


def test_a_retry_that_goes_on_keeps_its_lease_and_checkpoints_although_a_quarantine_stands(
    library: Library, dated: DatedStore
) -> None:
    library.publish(Outcome("ab" * 32, FIELD, "row-1", "fog", "quarantined", failure_class="empty"))
    later(dated)
    Leases(dated).acquire(FIELD, "retry", ttl_s=120.0)
    dated.put(f"checkpoints/cd/{FIELD}/0001.bin", b"moments", TEXT)

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


class Turns:
    """Lets two actors take turns, request by request, in an order that is given: True for the first."""

    def __init__(self, order: list[bool]) -> None:
        self._order = list(order)
        self._ended: set[bool] = set()
        self._condition = threading.Condition()

    def take(self, actor: bool) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._next() == actor, timeout=20.0)
            if self._order:
                self._order.pop(0)
            self._condition.notify_all()

    def end(self, actor: bool) -> None:
        with self._condition:
            self._ended.add(actor)
            self._condition.notify_all()

    def _next(self) -> bool:
        wanted = self._order[0] if self._order else True
        return wanted if wanted not in self._ended else not wanted


class TurnStore:
    """A store whose every request waits for the turn of its actor."""

    def __init__(self, store: DatedStore, turns: Turns, actor: bool) -> None:
        self._store, self._turns, self._actor = store, turns, actor

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in ("url", "now_s"):
            return method

        def request(*arguments: Any) -> Any:
            self._turns.take(self._actor)
            answer = method(*arguments)
            return iter(list(answer)) if isinstance(answer, Iterator) else answer

        return request


def interleaved(store: DatedStore, order: list[bool]) -> tuple[BlobRef, bool]:
    """A writer makes the old orphan again and names it while a collection runs; whether it was published."""
    turns = Turns(order)
    made: list[BlobRef] = []
    won: list[bool] = []

    def write() -> None:
        library = Library(TurnStore(store, turns, True))
        try:
            made.append(library.put_blob(b"orphan", TEXT))
            won.append(library.publish(published(*made)))
        except ObjectMissing:
            won.append(False)
        finally:
            turns.end(True)

    def clean() -> None:
        try:
            collect(Library(TurnStore(store, turns, False)))
        finally:
            turns.end(False)

    threads = [threading.Thread(target=actor) for actor in (write, clean)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    return made[0], won[0]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.booleans(), max_size=40))
def test_in_whatever_order_requests_fall_what_an_outcome_names_is_there(
    tmp_path_factory: pytest.TempPathFactory, order: list[bool]
) -> None:
    store = DatedStore(tmp_path_factory.mktemp("turns"))
    Library(store).put_blob(b"orphan", TEXT)
    later(store)

    ref, is_published = interleaved(store, order)

    if is_published:
        assert Library(store).get_blob(ref) == b"orphan"
    else:
        assert Library(store).get_outcome("ab" * 32) is None


@pytest.mark.parametrize("writer_requests", range(6))
def test_a_writer_in_two_parts_at_any_two_points_of_a_collection_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, writer_requests: int
) -> None:
    """Every order in which the collection is interrupted once, and the writer's rest comes after it."""
    for collector_requests in range(20):
        store = DatedStore(tmp_path_factory.mktemp("turns"))
        Library(store).put_blob(b"orphan", TEXT)
        later(store)

        order = [False] * collector_requests + [True] * writer_requests + [False] * 99 + [True] * 99
        ref, is_published = interleaved(store, order)

        if is_published:
            assert Library(store).get_blob(ref) == b"orphan", collector_requests
        else:
            assert Library(store).get_outcome("ab" * 32) is None


def test_what_was_renewed_since_it_was_found_is_spared(library: Library, dated: DatedStore) -> None:
    refs = [library.put_blob(content, TEXT) for content in (b"one", b"two")]
    later(dated)

    steps = remove_garbage(library, WEEK_S)
    first = next(steps).thing.key
    for content in (b"one", b"two"):
        library.put_blob(content, TEXT)

    assert [(step.verb, step.thing.kind) for step in steps] == [("spared", "blob")]
    assert first in {blob_key(ref.sha256) for ref in refs}
    assert all(dated.exists(blob_key(ref.sha256)) for ref in refs)


def test_many_writers_and_two_collections_at_once_lose_nothing(dated: DatedStore) -> None:
    library = Library(dated)
    contents = [f"blob {number}".encode() for number in range(12)]
    for content in contents:
        library.put_blob(content, TEXT)
    later(dated)
    until_s = time.monotonic() + 3.0
    outcomes: list[Outcome] = []

    def write(number: int) -> None:
        turn = 0
        while time.monotonic() < until_s:
            turn += 1
            try:
                refs = [library.put_blob(content, TEXT) for content in contents[number::3]]
                outcome = published(*refs, key=f"{number:02d}{turn:062d}")
                if library.publish(outcome):
                    outcomes.append(outcome)
            except ObjectMissing:
                continue  # it looked and saw what was taken away: the next attempt stores it again

    def clean() -> None:
        while time.monotonic() < until_s:
            collect(library)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    threads += [threading.Thread(target=clean) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes
    for outcome in outcomes:
        for ref in outcome.files.values():
            library.get_blob(ref)


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
