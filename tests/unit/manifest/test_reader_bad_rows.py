"""A bad row brings its part, its text and a digest of its content, by which it is known from night to night."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dreamfoundry.errors import RowError
from dreamfoundry.manifest.reader import scan
from support.manifests import write_manifest


def bad_row(path: Path) -> RowError:
    (error,) = scan(path).row_errors
    return error


def test_a_bad_row_brings_its_part_and_its_text(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.parquet", prompt_id=["x", "y"])
    write_manifest(tmp_path / "b.parquet", prompt_id=["z", "w"], prompt=["a mug", "a  red\nchair"], seed=[1, -1])

    error = bad_row(tmp_path)

    assert str(error).startswith("b.parquet row 1 (w): seed = -1: must be from 0")
    assert (error.row, error.part, error.prompt_id, error.prompt) == (3, "b.parquet", "w", "a red chair")


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [(b"a \xff mug", ""), (None, ""), (b"a \x1b[31m mug", "a [31m mug"), (b"x" * 1001, "x" * 1000), (b"x" * 10**6, "")],
)
def test_the_text_of_a_bad_row_can_be_shown(tmp_path: Path, prompt: bytes | None, shown: str) -> None:
    path = write_manifest(tmp_path / "m.parquet", prompt=pa.array([prompt], pa.binary()))

    assert bad_row(path).prompt == shown


def test_a_bad_row_is_the_same_one_wherever_it_stands_and_however_it_is_stored(tmp_path: Path) -> None:
    first = write_manifest(tmp_path / "first.parquet", prompt_id=["7"], prompt=[""], seed=[3])
    moved = write_manifest(
        tmp_path / "moved.parquet", prompt_id=["x", "7"], prompt=["a mug", ""], seed=[1.0, 3.0], tags=[["a"], None]
    )
    numbers = write_manifest(
        tmp_path / "numbers.parquet", prompt_id=[7], prompt=pa.array([b""]), seed=pa.array([3], pa.uint8()), other=["x"]
    )

    content = bad_row(first).content

    assert len(content) == 64
    assert bad_row(moved).content == bad_row(numbers).content == content


@pytest.mark.parametrize("column", ["prompt", "seed", "tags", "recipe_overrides"])
def test_a_bad_row_that_changes_is_another_one(tmp_path: Path, column: str) -> None:
    columns: dict[str, Any] = {"prompt_id": ["7"], "prompt": [""], "seed": [3], "tags": [["a"]]}
    changed = {"prompt": [" "], "seed": [4], "tags": [["a", "b"]], "recipe_overrides": ["{}"]}
    before = write_manifest(tmp_path / "before.parquet", **columns)
    after = write_manifest(tmp_path / "after.parquet", **{**columns, column: changed[column]})

    assert bad_row(before).content != bad_row(after).content
