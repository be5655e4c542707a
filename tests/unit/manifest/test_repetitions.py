"""Ids that repeat, contradict or nearly equal one another are found, in flat memory."""

from pathlib import Path

import pytest

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import scan
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
    assert report.repeated_rows == tuple(range(count, 2 * count))


def test_the_first_contradiction_is_told_with_both_parts(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.parquet", prompt_id=["x", "y", "z"])
    write_manifest(tmp_path / "b.parquet", prompt_id=["w", "z", "x"], prompt=["a car"] * 3)

    with pytest.raises(
        ManifestError, match=r"'z' stands in a\.parquet row 2 and b\.parquet row 1 with different content"
    ):
        scan(tmp_path)
