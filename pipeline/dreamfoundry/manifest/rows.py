"""The rows of the parts, batch by batch, with plain values; rows that can't be read are booked as lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.columns import has_overlong_text, plain_values
from dreamfoundry.manifest.diagnosis import UNREADABLE, one_line
from dreamfoundry.manifest.parts import Group, Part
from dreamfoundry.records import LostRows

_ROWS_PER_BATCH = 256
_SMALL_GROUP_ROWS = 20_000


@dataclass(frozen=True)
class Batch:
    """Rows of one part that follow each other. `rows` has a tuple of values for each, in the order of `names`."""

    part: Part
    first_row: int
    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]

    def place(self, row: int, *, names_part: bool) -> str:
        """The words for a row in messages; its part is named where there are several."""
        return f"{self.part.name} row {row - self.part.first_row}" if names_part else f"row {row}"

    def values(self, row: int) -> dict[str, Any]:
        """The values of a row by column."""
        return dict(zip(self.names, self.rows[row - self.first_row], strict=True))


def read_batches(parts: Sequence[Part], lost: list[LostRows]) -> Iterator[Batch]:
    """Every readable row of the parts.

    What cannot be read is appended to `lost`: the rest of the row group in which it stands. Raises ManifestError
    where columns are encrypted.
    """
    for part in parts:
        first_row = part.first_row
        with ExitStack() as stack:
            opened: dict[tuple[str, ...], pq.ParquetFile] = {}
            for number, group in enumerate(part.groups):
                leaves = _shared_leaves(part, number, group)
                if leaves not in opened:
                    opened[leaves] = stack.enter_context(part.open(leaves))
                yield from _read_group(part, opened[leaves], number, range(first_row, first_row + group.num_rows), lost)
                first_row += group.num_rows


def _shared_leaves(part: Part, number: int, group: Group) -> tuple[str, ...]:
    """Columns of a row group that are read as dictionaries, so that a text of many rows is in memory once.

    Such a dictionary grows with its row group and comes with each batch. So in a large group it is for columns alone
    in which a text is over its bound; the first row brings the texts that rows share.
    """
    if group.num_rows <= _SMALL_GROUP_ROWS:
        return group.dictionary_leaves
    try:
        with part.open(group.dictionary_leaves) as file:
            first = next(file.iter_batches(1, row_groups=[number], columns=part.column_names), None)
        return tuple(leaf for leaf in group.dictionary_leaves if first and has_overlong_text(first, leaf.split(".")[0]))
    except UNREADABLE:
        return ()  # whoever reads it finds the same, and books it


def _read_group(part: Part, file: pq.ParquetFile, group: int, promised: range, lost: list[LostRows]) -> Iterator[Batch]:
    row, reason = promised.start, ""
    try:
        for batch in file.iter_batches(_ROWS_PER_BATCH, row_groups=[group], columns=part.column_names):
            columns = plain_values(batch)
            rows = list(zip(*columns.values(), strict=True))
            yield Batch(part, row, tuple(columns), rows)
            row += len(rows)
    except UNREADABLE as error:
        reason = one_line(error)
        if "decrypt" in reason or "encrypt" in reason:
            raise ManifestError(f"{part.name}: its columns are encrypted; write them without encryption") from None

    if row < promised.stop:
        reason = reason or f"the file promises {len(promised)} rows, {row - promised.start} came"
        lost.append(LostRows(part.name, group, row, promised.stop - 1, reason))
