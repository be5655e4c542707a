"""The books of a manifest: every row that its footers promise is read, refused, lost or a repetition."""

from __future__ import annotations

from dataclasses import dataclass

from dreamfoundry.errors import ManifestError, RowError
from dreamfoundry.manifest.parts import NotRead
from dreamfoundry.records import LostRows


@dataclass(frozen=True)
class ManifestReport:
    """The result of a scan. `digest` is the SHA-256 of the bytes of the parts, in order.

    `num_rows` is what the footers promise, `num_prompts` the number of distinct valid prompts; `not_read` names
    what lies beside the parts. ManifestError where the rows don't add up.
    """

    digest: str
    num_rows: int
    num_prompts: int
    row_errors: tuple[RowError, ...]
    lost: tuple[LostRows, ...]
    repeated_rows: tuple[int, ...]
    ignored_columns: tuple[str, ...]
    warnings: tuple[str, ...]
    not_read: tuple[NotRead, ...] = ()

    def __post_init__(self) -> None:
        num_found = self.num_prompts + len(self.row_errors) + self.num_lost_rows + len(self.repeated_rows)
        if num_found != self.num_rows:
            raise ManifestError(
                f"the manifest promises {self.num_rows} rows, and {num_found} were found: {self.num_prompts} sound, "
                f"{len(self.row_errors)} bad, {self.num_lost_rows} lost, {len(self.repeated_rows)} repeated; "
                "write it again"
            )

    @property
    def skip_rows(self) -> frozenset[int]:
        """Rows that `read_prompts` should pass over: refused ones and repetitions."""
        return frozenset(self.repeated_rows).union(error.row for error in self.row_errors)

    @property
    def num_lost_rows(self) -> int:
        return sum(lost.num_rows for lost in self.lost)
