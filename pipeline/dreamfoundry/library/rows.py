"""Rows of manifests as a library knows them: what belongs to no key, and bad rows that were mended.

Three kinds of small records, written before the projections that are made from them and never changed:

    aliases/{run}/{number}.json prompt ids beside those of the outcomes: rows with the same content
    rows/{run}/{number}.json    rows whose tags or priority are others than were recorded before
    bad_rows/{run}.json         bad rows that this run found mended, or found again

The newest record decides; runs are ordered by their ids, which begin with the time. The outcome of a bad row is
never deleted: a run may not delete outcomes, and a crash between deleting and rebuilding could not be told from a loss.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from dreamfoundry.library.library import Library, require_names
from dreamfoundry.library.record_json import from_json, read_all, to_json
from dreamfoundry.object_store.protocol import JSON

T = TypeVar("T")

ALIASES, ROWS, BAD_ROWS = "aliases/", "rows/", "bad_rows/"
"""Where the three kinds of records begin."""

BAD_ROW = "bad_row"
"""The failure class of a row of a manifest that is no prompt."""

_ALIASES_SCHEMA, _ROWS_SCHEMA, _BAD_ROWS_SCHEMA = "aliases.v1", "rows.v1", "bad_rows.v1"
_ROWS_PER_RECORD = 10_000


@dataclass(frozen=True)
class Row:
    """A sound row of a manifest: the asset that it asks for, and what the catalog shows beside it.

    `tags` and `priority` may change from night to night while the asset stays what it is.
    """

    prompt_id: str
    asset_key: str
    tags: tuple[str, ...] = ()
    priority: int = 0


@dataclass(frozen=True)
class Aliases:
    """Prompt ids of one run beside that of the outcome, by asset key; a run with many writes several records."""

    prompt_ids: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class RowsRecord:
    """Rows of one run, by prompt id and asset key; a run with many of them writes several records."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class BadRowsRecord:
    """Asset keys of bad rows: those that one run found mended, and mended ones that it found bad again."""

    mended: tuple[str, ...]
    found_again: tuple[str, ...]


def record_aliases(library: Library, run_id: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Remember (prompt id, asset key) pairs beside the outcomes' own, under the name of a run."""
    for number, batch in _batches(pairs):
        prompt_ids: dict[str, tuple[str, ...]] = {}
        for prompt_id, asset_key in sorted(batch):
            prompt_ids[asset_key] = (*prompt_ids.get(asset_key, ()), prompt_id)
        library.store.put(f"{ALIASES}{run_id}/{number}.json", to_json(Aliases(prompt_ids), _ALIASES_SCHEMA), JSON)


def recorded_aliases(library: Library) -> Iterator[tuple[str, str]]:
    """Every (prompt id, asset key) that was ever recorded and can be read."""
    for record in _records(library, ALIASES, aliases_from_json):
        for asset_key, prompt_ids in record.prompt_ids.items():
            for prompt_id in prompt_ids:
                yield prompt_id, asset_key


def record_rows(library: Library, run_id: str, rows: Iterable[Row]) -> None:
    """Remember tags and priority of `rows`, which come in any order, under the name of a run."""
    for number, batch in _batches(rows):
        record = RowsRecord(tuple(sorted(batch, key=lambda row: (row.prompt_id, row.asset_key))))
        library.store.put(f"{ROWS}{run_id}/{number}.json", to_json(record, _ROWS_SCHEMA), JSON)


def recorded_rows(library: Library) -> Iterator[Row]:
    """Every row that was ever recorded and can be read, the newest record last."""
    for record in _records(library, ROWS, rows_from_json):
        yield from record.rows


def record_bad_rows(library: Library, run_id: str, *, mended: Collection[str], found_again: Collection[str]) -> None:
    """Remember what became of bad rows, by asset key, under the name of a run."""
    record = BadRowsRecord(tuple(sorted(mended)), tuple(sorted(found_again)))
    library.store.put(f"{BAD_ROWS}{run_id}.json", to_json(record, _BAD_ROWS_SCHEMA), JSON)


def mended_rows(library: Library) -> frozenset[str]:
    """Asset keys of bad rows that are mended as far as is known."""
    mended: set[str] = set()
    for record in _records(library, BAD_ROWS, bad_rows_from_json):
        mended |= {*record.mended}
        mended -= {*record.found_again}
    return frozenset(mended)


def aliases_from_json(data: bytes) -> Aliases:
    """The record of aliases in `data`; ObjectCorrupt."""
    record = from_json(Aliases, _ALIASES_SCHEMA, data)
    require_names(_ALIASES_SCHEMA, *(name for names in record.prompt_ids.values() for name in names))
    return record


def rows_from_json(data: bytes) -> RowsRecord:
    """The record of rows in `data`; ObjectCorrupt."""
    return from_json(RowsRecord, _ROWS_SCHEMA, data)


def bad_rows_from_json(data: bytes) -> BadRowsRecord:
    """The record of bad rows in `data`; ObjectCorrupt."""
    return from_json(BadRowsRecord, _BAD_ROWS_SCHEMA, data)


def tags_text(tags: Sequence[str]) -> str:
    """`tags` as one text, for tables whose cells hold no lists: equal tags give equal texts."""
    return json.dumps(list(tags), ensure_ascii=False)


def tags_from_text(text: str) -> tuple[str, ...]:
    """The tags that `tags_text` wrote."""
    return tuple(json.loads(text))


def _batches(items: Iterable[T]) -> Iterator[tuple[int, list[T]]]:
    """`items` in pieces that fit into one record, numbered from 0."""
    remaining = iter(items)
    return enumerate(iter(lambda: list(islice(remaining, _ROWS_PER_RECORD)), []))


def _records(library: Library, prefix: str, parse: Callable[[bytes], T]) -> Iterator[T]:
    """The records under `prefix` that can be read, by ascending run id."""
    found = read_all(library.store, library.store.list(prefix), parse, library.on_unreadable)
    return (record for _, record in found)
