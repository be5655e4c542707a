"""The counts of a footer are those of the file, and a damaged footer never ends the process."""

import io
import random
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.manifest.footer import read_footer
from support.manifests import write_manifest


@pytest.mark.parametrize("version", ["1.0", "2.4", "2.6"])
@pytest.mark.parametrize("num_rows", [0, 1, 250, 5000])
def test_the_counts_are_those_that_arrow_finds(tmp_path: Path, num_rows: int, version: str) -> None:
    path = tmp_path / "m.parquet"
    tags = pa.array([["a", "b"]] * num_rows, pa.list_(pa.string()))
    table = pa.table({"prompt_id": pa.array(map(str, range(num_rows)), pa.string()), "tags": tags})
    pq.write_table(table, path, row_group_size=100, version=version)

    with path.open("rb") as file:
        footer = read_footer(file)

    found = pq.read_metadata(path)
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    assert footer.num_rows == found.num_rows
    assert [(group.num_rows, group.num_bytes) for group in footer.groups] == [
        (group.num_rows, group.total_byte_size) for group in groups
    ]
    assert [[(chunk.num_values, chunk.num_bytes) for chunk in group.chunks] for group in footer.groups] == [
        [
            (group.column(index).num_values, group.column(index).total_uncompressed_size)
            for index in range(group.num_columns)
        ]
        for group in groups
    ]
    assert not any(chunk.is_encrypted for group in footer.groups for chunk in group.chunks)


def test_columns_are_named_and_bytes_without_a_type_are_noted(tmp_path: Path) -> None:
    table = {
        "prompt_id": ["a"],
        "point": [{"x": 1, "y": {"z": 2}}],
        "wide": pa.array([b"x" * 16], pa.binary(16)),
        "pairs": pa.array([[b"x" * 16]], pa.list_(pa.binary(16))),
        "price": pa.array([1], pa.decimal128(38)),
        "tags": [["a"]],
        "é": [1],
    }
    pq.write_table(pa.table(table), tmp_path / "m.parquet")

    with (tmp_path / "m.parquet").open("rb") as file:
        columns = read_footer(file).columns

    assert [column.name for column in columns] == list(table)
    assert [column.name for column in columns if column.has_plain_bytes] == ["wide", "pairs"]


@pytest.mark.parametrize("seed", range(5))
def test_any_bytes_are_a_footer_or_refused(tmp_path: Path, seed: int) -> None:
    path = write_manifest(tmp_path / "m.parquet", tags=[["a"]] * 5)
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    draws = random.Random(seed)

    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(draws.choice([1, 1, 2, 8])):
            damaged[draws.randrange(len(data) - 8 - length, len(data) - 4)] = draws.randrange(256)
        with suppress(ValueError):  # and never another exception
            read_footer(io.BytesIO(bytes(damaged)))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"\xff" * 8, b"\x00" * 12, b"\x1c" * 500 + b"\xf4\x01\0\0PAR1"])
def test_what_is_no_footer_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="footer"):
        read_footer(io.BytesIO(data))
