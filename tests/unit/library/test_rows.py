"""Rows of manifests: what is recorded of them comes back, the newest record last."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamfoundry.errors import ObjectCorrupt
from dreamfoundry.library.library import Library
from dreamfoundry.library.rows import (
    ALIASES,
    Row,
    mended_rows,
    record_aliases,
    record_bad_rows,
    record_rows,
    recorded_aliases,
    recorded_rows,
    tags_from_text,
    tags_text,
)
from dreamfoundry.object_store.directory import DirectoryStore


@pytest.mark.parametrize("tags", [(), ("wood",), ("wood, old", "a|b", '"'), ("木", "élan", "🪑"), ("b", "a", "b")])
def test_tags_come_back_from_their_text_as_they_were(tags: tuple[str, ...]) -> None:
    assert tags_from_text(tags_text(tags)) == tags


KEYS = [f"{number:064x}" for number in range(4)]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(DirectoryStore(tmp_path))


def test_aliases_of_all_runs_come_back_together(library: Library) -> None:
    record_aliases(library, "run-1", [("b", KEYS[0]), ("c", KEYS[0])])
    record_aliases(library, "run-2", [("b", KEYS[0]), ("d", KEYS[1])])

    assert set(recorded_aliases(library)) == {("b", KEYS[0]), ("c", KEYS[0]), ("d", KEYS[1])}


def test_very_many_aliases_go_into_several_records(library: Library) -> None:
    pairs = {(f"row-{number}", f"{number % 7:064x}") for number in range(10_001)}
    record_aliases(library, "run-1", pairs)

    assert set(recorded_aliases(library)) == pairs
    assert len(list(library.store.list(ALIASES))) == 2


def test_rows_come_back_as_they_were_recorded_the_newest_run_last(library: Library) -> None:
    old = [Row("chair", KEYS[0], ("wood",), 3), Row("a", KEYS[1], ("é", "木"), -1)]
    record_rows(library, "20260102T000000Z-b", [Row("chair", KEYS[0])])
    record_rows(library, "20260101T000000Z-a", old)

    assert list(recorded_rows(library)) == [*reversed(old), Row("chair", KEYS[0])]


def test_rows_in_another_order_make_the_same_records(library: Library, tmp_path: Path) -> None:
    rows = [Row(f"row-{number:05}", KEYS[0], ("wood",)) for number in range(10_001)]
    record_rows(library, "one", rows[:10_000])
    record_rows(library, "two", reversed(rows[:10_000]))
    record_rows(library, "many", rows)

    assert library.store.get("rows/one/0.json") == library.store.get("rows/two/0.json")
    assert [key for key in library.store.list("rows/many/")] == ["rows/many/0.json", "rows/many/1.json"]


def test_without_rows_nothing_is_written(library: Library) -> None:
    record_rows(library, "one", [])

    assert list(library.store.list("")) == []


def test_a_bad_row_is_mended_until_a_later_run_finds_it_again(library: Library) -> None:
    record_bad_rows(library, "20260101T000000Z-a", mended=KEYS[:2], found_again=[])
    assert mended_rows(library) == {*KEYS[:2]}
    record_bad_rows(library, "20260103T000000Z-c", mended=KEYS[2:3], found_again=KEYS[1:2])
    assert mended_rows(library) == {KEYS[0], KEYS[2]}
    record_bad_rows(library, "20260102T000000Z-b", mended=KEYS[1:2], found_again=KEYS[:1])
    assert mended_rows(library) == {KEYS[2]}, "the order is that of the runs"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"schema":"rows.v2"}', b'{"schema":"rows.v1","rows":[{"tags":3}]}']
)
def test_a_record_that_cannot_be_read_is_named(library: Library, data: bytes) -> None:
    for key in ("rows/one/0.json", "bad_rows/one.json"):
        library.store.put(key, data, "application/json")

    with pytest.raises(ObjectCorrupt, match=r"rows/one/0\.json: "):
        list(recorded_rows(library))
    with pytest.raises(ObjectCorrupt, match=r"bad_rows/one\.json: "):
        mended_rows(library)
