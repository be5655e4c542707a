"""The list of a dry run: every row that will not become an asset of its own, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from dreamfoundry.errors import ConfigError
from dreamfoundry.manifest.reader import ManifestReport, prompt_ids
from dreamfoundry.manifest.repetitions import RowPairs
from dreamfoundry.run.request import RunRequest

COLUMNS = (
    "kind",
    "prompt_id",
    "part",
    "first_row",
    "last_row",
    "first_row_in_part",
    "last_row_in_part",
    "earlier_part",
    "earlier_row",
    "earlier_row_in_part",
    "reason",
)
"""Rows count from 0, over the whole manifest and within their part (docs/MANIFEST.md)."""

Line = tuple[str | int, ...]


def refuse_list(path: Path, request: RunRequest) -> None:
    """ConfigError for a list in the place of something that is not a list of ours, or within the library."""
    text = str(path)
    if "://" in text or text.startswith("s3:"):
        raise ConfigError(f"--list {text!r}: must be a file on this machine")
    target = path.resolve()
    if target.is_relative_to(Path(request.library).resolve()):
        raise ConfigError(f"--list {text!r}: lies in the library; name a file outside of it")
    if path.exists() and not _is_list(path):
        raise ConfigError(f"--list {text!r}: is there already and is no list of a dry run; name another file")


def _is_list(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline().strip() == ",".join(COLUMNS).encode()


def write_list(scan: ManifestReport, manifest: Path, path: Path) -> int:
    """Write the rows of a scan that are bad, lost, repeated or in conflict; returns their number.

    `manifest` is read again for ids. ConfigError if `path` cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows(_bad_and_lost(scan))
            table.writerows(_pairs("conflict", scan.conflicts, "other content under the id of", scan, manifest))
            table.writerows(_pairs("repeated", scan.repeated, "equal to", scan, manifest))
    except OSError as error:
        raise ConfigError(
            f"--list {str(path)!r}: cannot be written: {error.strerror}; name a file in a folder"
        ) from None
    return len(scan.row_errors) + scan.num_lost_rows + len(scan.repeated) + len(scan.conflicts)


def _bad_and_lost(scan: ManifestReport) -> Iterator[Line]:
    for error in scan.row_errors:
        _, number = scan.place(error.row)
        yield "bad", error.prompt_id or "", error.part, error.row, error.row, number, number, "", "", "", str(error)
    for lost in scan.lost:
        (_, first), last = scan.place(lost.first_row), lost.last_row
        yield (
            *("lost", "", lost.part, lost.first_row, last, first, first + last - lost.first_row),
            *("", "", "", lost.reason),
        )


def _pairs(kind: str, pairs: RowPairs, reason: str, scan: ManifestReport, manifest: Path) -> Iterator[Line]:
    for (row, earlier), prompt_id in zip(pairs, prompt_ids(manifest, pairs.rows), strict=True):
        (part, number), (earlier_part, earlier_number) = scan.place(row), scan.place(earlier)
        yield (
            *(kind, prompt_id, part, row, row, number, number),
            *(earlier_part, earlier, earlier_number, f"{reason} {scan.words_for(earlier)}"),
        )
