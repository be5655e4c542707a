"""The rows of the parts, batch by batch, with plain values; rows that can't be read are booked as lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow.parquet as pq

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.columns import plain_values
from dreamfoundry.manifest.parts import UNREADABLE, Part, one_line
from dreamfoundry.manifest.report import LostRows

_ROWS_PER_BATCH = 256


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
        numbered = enumerate(part.groups)
        for _, alike in groupby(numbered, lambda item: item[1].dictionary_leaves):
            groups = list(alike)
            with part.open(groups[0][1]) as file:
                for number, group in groups:
                    yield from _read_group(part, file, number, range(first_row, first_row + group.num_rows), lost)
                    first_row += group.num_rows


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
