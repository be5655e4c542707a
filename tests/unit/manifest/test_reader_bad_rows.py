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


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            {"prompt": [""], "seed": [-1], "target_height_m": [0.0]},
            "row 0 (row-0): prompt = '': must not be empty; "
            "target_height_m = 0.0: must be from 0.01 to 100.0 metres; "
            "seed = -1: must be from 0 to 9223372036854775807",
        ),
        (
            {"prompt_id": ["a/b"], "prompt": [None]},
            "row 0: prompt_id = 'a/b': must be a unique name, 1 to 128 of A-Z a-z 0-9 . _ - and no dot in front; "
            "prompt is missing: must not be empty",
        ),
        (
            {"tags": [["a", "", "b"]], "view_prompts": ['{"back": " "}']},
            "row 0 (row-0): tags[1] = '': must not be empty; view_prompts.back = ' ': must not be empty",
        ),
        (
            {"prompt_id": pa.array([None], pa.string()), "seed": [0.5]},
            "row 0: prompt_id is missing: must be a unique name, 1 to 128 of A-Z a-z 0-9 . _ - and no dot in front; "
            "seed = 0.5: must be a whole number, and as an integer where it is beyond 2^53",
        ),
    ],
)
def test_all_faulty_cells_of_a_row_are_told(tmp_path: Path, columns: dict[str, Any], told: str) -> None:
    assert str(bad_row(write_manifest(tmp_path / "m.parquet", **columns))) == told


@pytest.mark.parametrize("column", ["budget_profile", "recipe_overrides"])
def test_what_a_setting_refuses_is_told_beside_the_rest(tmp_path: Path, column: str) -> None:
    value = {"budget_profile": "gme_hero", "recipe_overrides": '{"optimise.num_steps": 3}'}[column]
    error = bad_row(write_manifest(tmp_path / "m.parquet", seed=[-1], **{column: [value]}))

    assert "seed = -1" in str(error)
    assert {"budget_profile": "gme_hero", "recipe_overrides": "optimise"}[column] in str(error)


def test_a_row_in_which_all_is_wrong_has_a_bounded_message(tmp_path: Path) -> None:
    long = "\x00" * 900
    path = write_manifest(
        tmp_path / "m.parquet",
        prompt_id=[long],
        prompt=[long],
        negative_prompt=[long],
        seed=[-1],
        priority=[2**40],
        tags=[[long]],
        target_height_m=[-1.0],
        budget_profile=[long],
        recipe_overrides=["{" * 900],
        view_prompts=["[" * 900],
    )

    message = str(bad_row(path))

    assert message.endswith("; and 5 more")
    assert len(message) < 1000


def test_unknown_words_are_told_beside_faulty_cells(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.parquet", prompt=["a quux"], seed=[-1])

    (error,) = scan(path, lambda prompt: f"{prompt.text!r} is unknown").row_errors

    assert "seed = -1" in str(error)
    assert str(error).endswith("; 'a quux' is unknown")
