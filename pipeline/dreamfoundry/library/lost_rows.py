"""Rows of the last manifest that could not be read: which, and why. Nobody knows what they are, so none has an outcome.

    lost_rows/{run}.json    written by a run whose manifest lost other rows than that of the run before it

The newest record counts, as long as it is of use to somebody: a run that reads everything writes an empty one.
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamfoundry.library.library import Library
from dreamfoundry.library.record_json import from_json, read_all, to_json
from dreamfoundry.object_store.protocol import JSON
from dreamfoundry.records import LostRows

LOST_ROWS = "lost_rows/"
"""Where the records lie."""

_SCHEMA = "lost_rows.v1"


@dataclass(frozen=True)
class LostRowsRecord:
    """All rows that a run could not read of `manifest`."""

    manifest: str
    ranges: tuple[LostRows, ...]

    @property
    def num_rows(self) -> int:
        return sum(lost.num_rows for lost in self.ranges)


NONE_LOST = LostRowsRecord("", ())


def record_lost_rows(library: Library, run_id: str, lost: LostRowsRecord) -> bool:
    """Remember `lost` under the name of a run; False where nothing is new."""
    before = recorded_lost_rows(library)
    if lost == before or not (lost.ranges or before.ranges):
        return False
    library.store.put(f"{LOST_ROWS}{run_id}.json", to_json(lost, _SCHEMA), JSON)
    return True


def lost_rows_from_json(data: bytes) -> LostRowsRecord:
    """The record in `data`; ObjectCorrupt."""
    return from_json(LostRowsRecord, _SCHEMA, data)


def recorded_lost_rows(library: Library) -> LostRowsRecord:
    """The newest record that can be read; NONE_LOST without one."""
    newest_first = reversed(list(library.store.list(LOST_ROWS)))
    found = read_all(library.store, newest_first, lost_rows_from_json, library.on_unreadable)
    return next((record for _, record in found), NONE_LOST)
