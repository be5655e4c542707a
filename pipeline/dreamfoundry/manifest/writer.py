"""Sources of prompts become one manifest that a run accepts, or are refused as a whole with all their faults."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry.errors import MachineFault, ManifestError, StoreUnavailable
from dreamfoundry.manifest.reader import scan
from dreamfoundry.manifest.row import COLUMNS
from dreamfoundry.manifest.sources.addresses import S3, STANDARD_INPUT, split_s3
from dreamfoundry.manifest.sources.kinds import Kind
from dreamfoundry.manifest.sources.prompt_ids import name_rows
from dreamfoundry.manifest.sources.reading import Fault, SourceRow
from dreamfoundry.manifest.sources.source import read_source
from dreamfoundry.object_store.open import at_address, open_store

ROWS_PER_GROUP = 2_000

MAX_SHOWN = 20

_MEDIA_TYPE = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Made:
    """A manifest that was written; `warnings` are about what is not as it seems in its sources.

    `num_comments` lines of text are left out.
    """

    num_prompts: int
    num_bytes: int
    warnings: tuple[str, ...]
    num_comments: int


def make_manifest(sources: Sequence[str], target: str, kind: Kind | None = None) -> Made:
    """Write the manifest `target` (a path or s3://…/name.parquet) from all `sources`.

    A source is a path, s3://… or "-" for standard input, and what its name says unless `kind` says it. Raises
    ManifestError for whatever a run would refuse and for a target that is no place for it, before anything is
    written; an existing manifest is replaced at the very end.
    """
    _check_target(sources, target)
    readings = [read_source(source, kind) for source in sources]
    warnings = [warning for reading in readings for warning in reading.warnings]
    faults = [fault for reading in readings for fault in reading.faults]

    rows, contradictions, repetitions = name_rows([row for reading in readings for row in reading.rows])
    faults += contradictions

    # a draft first: nobody may find a manifest that was not scanned
    with _temporary_folder() as folder:
        draft = Path(folder) / "manifest.parquet"
        if rows:
            _write(rows, draft)
            found, remarks = _scanned(rows, draft, target)
            faults += found
            warnings += remarks
        if faults:
            order = {reading.source: number for number, reading in enumerate(readings)}
            raise ManifestError(_message(sorted(faults, key=lambda f: (order[f.place.source], f.place.number))))
        _store(draft, target)
        num_comments = sum(reading.num_comments for reading in readings)
        return Made(len(rows), draft.stat().st_size, (*warnings, *repetitions), num_comments)


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder for the draft; MachineFault where there is no room for it."""
    try:
        with tempfile.TemporaryDirectory(prefix="dreamfoundry-") as folder:
            yield folder
    except OSError as error:
        raise MachineFault(f"no room for temporary files: {error}; name another folder in TMPDIR") from error


def _check_target(sources: Sequence[str], target: str) -> None:
    """Refuse a target that is a source, or that only a mistake can have made one."""
    if not target.lower().endswith(".parquet"):
        raise ManifestError(f"{target!r}: the manifest comes last and must be named .parquet, as in prompts.parquet")
    for source in sources:
        if source == target or _is_same_file(source, target):
            raise ManifestError(f"{target}: is the source {source} itself: choose another name for the manifest")
    if sources.count(STANDARD_INPUT) > 1:
        raise ManifestError("-: standard input can be read once only")
    if target.startswith(S3):
        split_s3(target)
    elif "://" in target:
        raise ManifestError(f"{target}: must be a path or s3://bucket/folder/name.parquet")
    elif os.path.isdir(target):
        raise ManifestError(f"{target}: is a folder: name a file in it, as in {target.rstrip('/')}/prompts.parquet")


def _is_same_file(source: str, target: str) -> bool:
    """True for one file under two names, links included."""
    try:
        return Path(source).samefile(target)
    except (OSError, ValueError):
        return False


def _write(rows: Sequence[SourceRow], draft: Path) -> None:
    """A table of the required columns and of those that at least one row has, typed as a manifest."""
    values = [row.values for row in rows]
    used = [column for column in COLUMNS if column.required or any(column.name in row for row in values)]
    table = pa.table({c.name: pa.array([row.get(c.name) for row in values], c.type) for c in used})
    pq.write_table(
        table, draft, row_group_size=ROWS_PER_GROUP, compression="zstd", version="2.6", write_page_checksum=True
    )


def _scanned(rows: Sequence[SourceRow], draft: Path, target: str) -> tuple[list[Fault], list[str]]:
    """The faults of single rows as a run would find them, at the lines of their sources, and its warnings."""
    report = scan(draft, address=target)
    faults = []
    for refused in report.row_errors:
        row = rows[refused.row]
        told = str(refused).partition(": ")[2]  # without the row of the draft, which nobody has seen
        faults.append(Fault(row.place, row.values["prompt_id"], told))
    for number, earlier in report.conflicts:
        row = rows[number]
        rule = f"prompt_id stands in {rows[earlier].place} too, with other content"
        faults.append(Fault(row.place, row.values["prompt_id"], rule))
    return faults, [warning.replace(draft.name, target) for warning in report.warnings]


def _message(faults: Sequence[Fault]) -> str:
    if len(faults) == 1:
        return str(faults[0])
    lines = [f"{len(faults)} faults, nothing is written", *map(str, faults[:MAX_SHOWN])]
    if len(faults) > MAX_SHOWN:
        lines.append(f"and {len(faults) - MAX_SHOWN} more")
    return "\n  ".join(lines)


def _store(draft: Path, target: str) -> None:
    """Let `target` have the bytes of the draft, as a whole or not at all."""
    try:
        if target.startswith(S3):
            folder, name = split_s3(target)
            with draft.open("rb") as file:
                open_store(folder).put_file(name, file, _MEDIA_TYPE)
            return
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".manifest-") as folder:
            shutil.copyfile(draft, Path(folder) / path.name).replace(path)
    except StoreUnavailable as error:
        raise at_address(target, error) from None
    except (FileExistsError, NotADirectoryError):
        raise ManifestError(f"{target}: a part of this path is a file: choose another folder") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ManifestError(f"{target}: cannot be written: {reason}") from None
