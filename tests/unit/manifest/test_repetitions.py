"""Ids that repeat, conflict or nearly equal one another are found, in flat memory."""

from pathlib import Path

import pytest

from dreamfoundry.manifest.reader import prompt_ids, read_prompts, scan
from support.manifests import write_manifest


def test_ids_that_differ_in_case_only_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    ids = ["Chair", "chair", "mug", "CHAIR", "Mug", "car", "Car", "tree", "Tree"]
    path = write_manifest(tmp_path / "m.parquet", prompt_id=ids)

    (warning,) = scan(path).warnings

    assert warning.startswith(
        "5 prompt ids differ from another in case only; some disks hold one of the two: 'Chair' and"
    )
    assert warning.count(" and ") == 3


@pytest.mark.parametrize("name", ["CON", "aux.txt", "nul", "com1", "LPT9.tar.gz", "chair.", "a.b..", "Prn.glb"])
def test_ids_that_windows_cannot_hold_are_warned_about(tmp_path: Path, name: str) -> None:
    path = write_manifest(tmp_path / "m.parquet", prompt_id=["chair", name, "another"])

    assert scan(path).warnings == (f"1 prompt ids cannot be names of files on Windows: {name!r}",)


@pytest.mark.parametrize("name", ["console", "aux-1", "com10", "a.con", "null", "lpt", "chair.v2"])
def test_ids_that_are_only_like_those_are_not(tmp_path: Path, name: str) -> None:
    assert scan(write_manifest(tmp_path / "m.parquet", prompt_id=["chair", name])).warnings == ()


@pytest.mark.parametrize("count", [2, 40, 5000])
def test_repetitions_are_found_wherever_they_stand(tmp_path: Path, count: int) -> None:
    ids = [f"row-{number}" for number in range(count)]
    path = write_manifest(tmp_path / "m.parquet", prompt_id=ids + ids[::-1], prompt=["a mug"] * (2 * count))

    report = scan(path)

    assert report.num_prompts == count
    assert list(report.repeated) == [(row, 2 * count - 1 - row) for row in range(count, 2 * count)]


def test_every_row_that_conflicts_is_told_with_the_first_of_its_id(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.parquet", prompt_id=["x", "y", "z", "x"])
    write_manifest(tmp_path / "b.parquet", prompt_id=["w", "z", "x"], prompt=["a car"] * 3)

    report = scan(tmp_path)

    assert list(report.conflicts) == [(3, 0), (5, 2), (6, 0)]
    assert [report.words_for(row) for row in (2, 5)] == ["a.parquet row 2", "b.parquet row 1"]
    assert (report.num_rows, report.num_prompts) == (7, 4)
    assert [prompt.text for prompt in read_prompts(tmp_path, report.skip_rows)][-1] == "a car"


@pytest.mark.parametrize(
    ("texts", "repeated", "conflicts"),
    [
        (["a", "a", "a"], [(1, 0), (2, 0)], []),
        (["a", "b", "a"], [(2, 0)], [(1, 0)]),
        (["a", "b", "b"], [(2, 1)], [(1, 0)]),
        (["a", "b", "c"], [], [(1, 0), (2, 0)]),
    ],
)
def test_rows_of_one_id_are_repetitions_or_conflicts(
    tmp_path: Path, texts: list[str], repeated: list[tuple[int, int]], conflicts: list[tuple[int, int]]
) -> None:
    report = scan(write_manifest(tmp_path / "m.parquet", prompt_id=["x"] * 3, prompt=texts))

    assert (list(report.repeated), list(report.conflicts)) == (repeated, conflicts)


@pytest.mark.parametrize("num_rows", [2, 300, 3000])
def test_a_row_far_behind_the_first_of_its_id_conflicts_with_that(tmp_path: Path, num_rows: int) -> None:
    ids = [f"row-{number}" for number in range(num_rows)]
    path = write_manifest(tmp_path / "m.parquet", prompt_id=ids * 2, prompt=["a mug"] * num_rows + ["a car"] * num_rows)

    report = scan(path)

    assert list(report.conflicts) == [(num_rows + row, row) for row in range(num_rows)]
    assert list(prompt_ids(path, report.conflicts.rows)) == ids
