"""Rows of the last manifest that could not be read: which, and why. Nobody knows what they are, so none has an outcome.

    lost_rows/{run}.json    written by a run whose manifest lost other rows than that of the run before it

The newest record counts, as long as it is of use to somebody: a run that reads everything writes an empty one.
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamfoundry.library.library import Library
from dreamfoundry.library.record_json import from_json, to_json
from dreamfoundry.object_store.protocol import JSON

LOST_ROWS = "lost_rows/"
"""Where the records lie."""

_SCHEMA = "lost_rows.v1"


@dataclass(frozen=True)
class LostRange:
    """Rows `first_row` to `last_row` (both included, counted over all parts) of one row group."""

    part: str
    row_group: int
    first_row: int
    last_row: int
    reason: str


@dataclass(frozen=True)
class LostRows:
    """All rows that a run could not read of `manifest`."""

    manifest: str
    ranges: tuple[LostRange, ...]

    @property
    def num_rows(self) -> int:
        return sum(lost.last_row - lost.first_row + 1 for lost in self.ranges)


NONE_LOST = LostRows("", ())


def record_lost_rows(library: Library, run_id: str, lost: LostRows) -> bool:
    """Remember `lost` under the name of a run; False where nothing is new."""
    before = recorded_lost_rows(library)
    if lost == before or not (lost.ranges or before.ranges):
        return False
    library.store.put(f"{LOST_ROWS}{run_id}.json", to_json(lost, _SCHEMA), JSON)
    return True


def lost_rows_from_json(data: bytes) -> LostRows:
    """The record in `data`; ObjectCorrupt."""
    return from_json(LostRows, _SCHEMA, data)


def recorded_lost_rows(library: Library) -> LostRows:
    """The newest record; NONE_LOST without one. ObjectCorrupt if it cannot be read."""
    keys = list(library.store.list(LOST_ROWS))
    return lost_rows_from_json(library.store.get(keys[-1])) if keys else NONE_LOST
