"""Manifests for tests, written by pyarrow, and the ways in which they go bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry.manifest.reader import read_prompts, scan
from dreamfoundry.records import Prompt


def write_manifest(path: Path, **columns: Any) -> Path:
    """A manifest with these columns in row groups of 100; `prompt_id` and `prompt` are made up where absent."""
    num_rows = len(next(iter(columns.values())))
    numbers = range(num_rows)
    columns.setdefault("prompt_id", [f"row-{number}" for number in numbers])
    columns.setdefault("prompt", [f"a red chair with {number} legs" for number in numbers])
    pq.write_table(pa.table(columns), path, row_group_size=100, compression="zstd", write_page_checksum=True)
    return path


def sound_prompts(path: Path) -> list[Prompt]:
    """The prompts of a manifest that has no fault."""
    report = scan(path)
    assert (report.row_errors, report.lost) == ((), ())
    return list(read_prompts(path, report.skip_rows))


def refused_rows(path: Path) -> list[str]:
    """The messages about rows of a manifest."""
    return [str(error) for error in scan(path).row_errors]


def flip_bytes(path: Path, row_group: int, column: int = 1, num_bytes: int = 64) -> None:
    """Flip bytes in the middle of one column of one row group."""
    chunk = pq.read_metadata(path).row_group(row_group).column(column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    middle = start + chunk.total_compressed_size // 2 - num_bytes // 2
    data = bytearray(path.read_bytes())
    data[middle : middle + num_bytes] = bytes(byte ^ 0xFF for byte in data[middle : middle + num_bytes])
    path.write_bytes(data)


def promise_rows(path: Path, num_rows: int, promised: int) -> None:
    """Let the footer of a file of one row group promise other rows than there are, in both places that count them.

    The two numbers take equally many bytes, and no other number in the footer has those of `num_rows`.
    """
    data = bytearray(path.read_bytes())
    end = len(data) - 8
    start = end - int.from_bytes(data[end : end + 4], "little")
    old, new = _varint(num_rows), _varint(promised)
    assert len(old) == len(new)

    first, last = data.index(old, start), data.rindex(old, start, end)
    for place in (first, last):
        data[place : place + len(new)] = new
    path.write_bytes(data)


def _varint(number: int) -> bytes:
    """A positive number as the compact protocol of Thrift writes it."""
    rest, coded = 2 * number, bytearray()
    while rest > 127:
        coded.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*coded, rest])
