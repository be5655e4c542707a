"""Writers and collections of garbage at the same time: whatever an outcome names is never taken away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamfoundry.errors import ObjectMissing
from dreamfoundry.library.garbage import remove_garbage
from dreamfoundry.library.library import Library, blob_key
from dreamfoundry.records import BlobRef, Outcome
from support.dated_library import TEXT, WEEK_S, DatedStore, collect, later, published


@pytest.fixture
def dated(tmp_path: Path) -> DatedStore:
    return DatedStore(tmp_path / "library")


@pytest.fixture
def library(dated: DatedStore) -> Library:
    return Library(dated)


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
