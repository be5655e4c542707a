"""The books of a manifest: every row that its footers promise is read, refused, lost, a repetition or in conflict."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from dreamfoundry.errors import ManifestError, RowError
from dreamfoundry.manifest.parts import NotRead
from dreamfoundry.manifest.repetitions import RowPairs
from dreamfoundry.records import LostRows


@dataclass(frozen=True)
class ManifestReport:
    """The result of a scan. `digest` is the SHA-256 of the bytes of the parts, in order.

    `num_rows` is what the footers promise, `num_prompts` the number of distinct valid prompts. Rows in `conflicts`
    are sound by themselves, but have the id of another prompt. `not_read` names what lies beside the parts, and
    `part_starts` has (name, first row) of each part. ManifestError where the rows don't add up.
    """

    digest: str
    num_rows: int
    num_prompts: int
    row_errors: tuple[RowError, ...]
    lost: tuple[LostRows, ...]
    repeated: RowPairs
    ignored_columns: tuple[str, ...]
    warnings: tuple[str, ...]
    not_read: tuple[NotRead, ...] = ()
    conflicts: RowPairs = field(default_factory=RowPairs)
    part_starts: Sequence[tuple[str, int]] = ()

    def __post_init__(self) -> None:
        num_others = len(self.repeated) + len(self.conflicts)
        num_found = self.num_prompts + len(self.row_errors) + self.num_lost_rows + num_others
        if num_found != self.num_rows:
            raise ManifestError(
                f"the manifest promises {self.num_rows} rows, and {num_found} were found: {self.num_prompts} sound, "
                f"{len(self.row_errors)} bad, {self.num_lost_rows} lost, {len(self.repeated)} repeated, "
                f"{len(self.conflicts)} in conflict; write it again"
            )

    @property
    def skip_rows(self) -> frozenset[int]:
        """Rows that `read_prompts` should pass over: refused ones, repetitions and conflicts."""
        bad = (error.row for error in self.row_errors)
        return frozenset(self.repeated.rows).union(self.conflicts.rows, bad)

    def place(self, row: int) -> tuple[str, int]:
        """(name of its part, number within it, from 0) of a row."""
        name, first_row = self.part_starts[bisect_right(self.part_starts, row, key=lambda start: start[1]) - 1]
        return name, row - first_row

    def words_for(self, row: int) -> str:
        """The words for a row in messages; its part is named where there are several."""
        name, number = self.place(row)
        return f"{name} row {number}" if len(self.part_starts) > 1 else f"row {row}"

    @property
    def num_lost_rows(self) -> int:
        return sum(lost.num_rows for lost in self.lost)
