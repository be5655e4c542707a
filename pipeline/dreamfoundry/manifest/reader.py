"""Stage 1: a Parquet manifest becomes prompts, streamed, every row checked before any work.

`scan` goes through the whole manifest first. Faults of the file raise ManifestError; faults of
rows are collected, all of them; a row group whose bytes are damaged costs only the rows that
cannot be read. Memory does not grow with the number of rows, except 32 bytes for each.

Rows count from 0 over all parts in the order of their names. Page checksums are verified where
the writer made them: without them, damage can change a text and nobody notices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry.errors import ManifestError, RowError
from dreamfoundry.identity import canonical_json
from dreamfoundry.manifest.row import COLUMNS, NAMES, column_faults, prompt_from_row
from dreamfoundry.records import Prompt
from dreamfoundry.settings.recipe import Recipe

Check = Callable[[Prompt], str | None]
"""Says why a prompt is refused, or None: what the caller knows and the manifest does not."""

_ROWS_PER_BATCH = 256
_LARGE_ROW_GROUP_BYTES = 256 * 2**20


@dataclass(frozen=True)
class LostRows:
    """Rows `first_row` to `last_row` (both included) of damaged bytes; they can't be read."""

    part: str
    row_group: int
    first_row: int
    last_row: int
    reason: str


@dataclass(frozen=True)
class ManifestReport:
    """The result of a scan. `digest` is the SHA-256 of the bytes of the parts, in order.

    `num_rows` is what the footers promise, `num_prompts` the number of distinct valid prompts.
    """

    digest: str
    num_rows: int
    num_prompts: int
    row_errors: tuple[RowError, ...]
    lost: tuple[LostRows, ...]
    repeated_rows: tuple[int, ...]
    ignored_columns: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def skip_rows(self) -> frozenset[int]:
        """Rows that `read_prompts` should pass over: refused ones and repetitions."""
        return frozenset(self.repeated_rows).union(error.row for error in self.row_errors)

    @property
    def num_lost_rows(self) -> int:
        return sum(lost.last_row - lost.first_row + 1 for lost in self.lost)


def scan(path: Path, check: Check | None = None, recipe: Recipe = Recipe()) -> ManifestReport:  # noqa: B008 (frozen)
    """Check the manifest at `path`: a Parquet file, or a directory of them.

    `recipe` is the one that the overrides of rows will be applied to. Raises ManifestError when
    the file as a whole cannot be used; nothing that is wrong with single rows raises.
    """
    files = _open(path)
    ignored = _check_columns(files)
    row_digests = _RowDigests()
    errors: list[RowError] = []
    lost: list[LostRows] = []

    for row, values in _rows(files, lost):
        try:
            prompt = prompt_from_row(values, row, recipe)
            reason = check(prompt) if check is not None else None
            if reason is not None:
                raise RowError(f"row {row} ({prompt.prompt_id}): {reason}", row=row, prompt_id=prompt.prompt_id)
        except RowError as error:
            errors.append(error)
        else:
            row_digests.add(row, prompt)

    # Equal rows are one prompt; different ones under one id would be published over each other.
    repeated, contradicting = row_digests.repetitions()
    if contradicting is not None:
        first, second = contradicting
        prompt_id = next(values["prompt_id"] for row, values in _rows(files, []) if row == first)
        raise ManifestError(
            f"{path}: prompt_id {prompt_id.decode()!r} stands in rows {first} and {second} with different content; "
            "give each prompt an id of its own"
        )

    return ManifestReport(
        digest=_digest([file.path for file in files]),
        num_rows=sum(file.num_rows for file in files),
        num_prompts=len(row_digests) - len(repeated),
        row_errors=tuple(errors),
        lost=tuple(lost),
        repeated_rows=repeated,
        ignored_columns=ignored,
        warnings=tuple(_warnings(files)),
    )


def read_prompts(
    path: Path,
    skip_rows: Collection[int] = (),
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
) -> Iterator[Prompt]:
    """The valid prompts of a manifest, in order, without `skip_rows` (see `ManifestReport`)."""
    for row, values in _rows(_open(path), []):
        if row not in skip_rows:
            try:
                prompt = prompt_from_row(values, row, recipe)
            except RowError:
                continue
            yield prompt


@dataclass(frozen=True)
class _Part:
    """One Parquet file; `first_row` is the number of rows in the parts before it."""

    path: Path
    metadata: Any
    schema: pa.Schema
    first_row: int

    @property
    def num_rows(self) -> int:
        return int(self.metadata.num_rows)


class _RowDigests:
    """Finds repeated prompt ids in 32 bytes a row: digests in flat arrays, sorted at the end."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes) // 32

    def add(self, row: int, prompt: Prompt) -> None:
        name = hashlib.blake2b(prompt.prompt_id.encode(), digest_size=16).digest()
        content = hashlib.blake2b(canonical_json(prompt), digest_size=8).digest()
        self._bytes += name + content + row.to_bytes(8, "little")

    def repetitions(self) -> tuple[tuple[int, ...], tuple[int, int] | None]:
        """Rows that repeat an earlier one, and the first pair of rows that contradict each other."""
        table = np.frombuffer(self._bytes, dtype="<u8").reshape(-1, 4)
        table = table[np.lexsort((table[:, 3], table[:, 1], table[:, 0]))]
        same_name = (table[1:, :2] == table[:-1, :2]).all(axis=1)
        contradicting = np.flatnonzero(same_name & (table[1:, 2] != table[:-1, 2]))
        rows = table[:, 3]
        repeated = tuple(sorted(int(row) for row in rows[1:][same_name]))
        if contradicting.size == 0:
            return repeated, None
        at = contradicting[np.argmin(rows[1:][contradicting])]
        return repeated, (int(rows[at]), int(rows[at + 1]))


def _open(path: Path) -> list[_Part]:
    """The parts of a manifest by name, with readable footers; ManifestError otherwise."""
    paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not paths:
        raise ManifestError(f"{path}: the directory holds no *.parquet file")
    parts: list[_Part] = []
    for part in paths:
        try:
            with pq.ParquetFile(part) as file:
                first_row = parts[-1].first_row + parts[-1].num_rows if parts else 0
                parts.append(_Part(part, file.metadata, file.schema_arrow, first_row))
        except FileNotFoundError:
            raise ManifestError(f"{part}: no such file") from None
        except (OSError, pa.ArrowException) as error:
            raise ManifestError(
                f"{part}: not a Parquet file ({_one_line(error)}); "
                "`dreamfoundry make` makes one from text, CSV or JSONL"
            ) from None
    if sum(part.num_rows for part in parts) == 0:
        raise ManifestError(f"{path}: the manifest has no rows; write at least one prompt")
    return parts


def _check_columns(parts: list[_Part]) -> tuple[str, ...]:
    """Refuse missing and mistyped columns; return those that nobody will read."""
    ignored: dict[str, None] = {}
    for part in parts:
        faults = column_faults(part.schema)
        if faults:
            raise ManifestError(f"{part.path}: {'; '.join(faults)}")
        ignored.update(dict.fromkeys(name for name in part.schema.names if name not in NAMES))
    return tuple(ignored)


def _rows(parts: list[_Part], lost: list[LostRows]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number, values by column) of every readable row; texts are bytes, not yet decoded.

    What cannot be read is appended to `lost`: the rest of the row group in which it stands.
    """
    for part in parts:
        names = [column.name for column in COLUMNS if column.name in part.schema.names]
        first_row = part.first_row
        with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
            for group in range(part.metadata.num_row_groups):
                row, last_row = first_row, first_row + part.metadata.row_group(group).num_rows - 1
                first_row = last_row + 1
                try:
                    for batch in file.iter_batches(_ROWS_PER_BATCH, row_groups=[group], columns=names):
                        for values in _as_bytes(batch).to_pylist():
                            yield row, values
                            row += 1
                except (OSError, pa.ArrowException) as error:
                    lost.append(LostRows(part.path.name, group, row, last_row, _one_line(error)))


def _as_bytes(batch: pa.RecordBatch) -> pa.Table:
    """The batch with binary in place of strings, so that one bad byte costs one row, not all."""
    fields = [pa.field(field.name, _binary(field.type)) for field in batch.schema]
    return pa.Table.from_batches([batch]).cast(pa.schema(fields))


def _binary(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _binary(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_binary(kind.value_type))
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return pa.large_binary() if is_text else kind


def _warnings(parts: list[_Part]) -> Iterator[str]:
    for part in parts:
        sizes = [part.metadata.row_group(g).total_byte_size for g in range(part.metadata.num_row_groups)]
        if max(sizes, default=0) > _LARGE_ROW_GROUP_BYTES:
            size_mib = max(sizes) / 2**20
            yield f"{part.path.name}: a row group of {size_mib:.0f} MiB; groups of 2000 rows need far less memory"


def _digest(paths: list[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                total.update(block)
    return total.hexdigest()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
