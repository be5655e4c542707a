"""The list of a dry run has every row that becomes no asset of its own, where it stands, and why."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.errors import ConfigError
from dreamfoundry.manifest.reader import scan
from dreamfoundry.run.planning.row_list import write_list
from support.manifests import flip_bytes, write_manifest


def listed(folder: Path) -> list[dict[str, Any]]:
    """The lines of the list of the manifest in `folder`."""
    target = folder.parent / "rows.csv"
    num_rows = write_list(scan(folder), folder, target)
    with target.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert num_rows == sum(int(line["last_row"]) - int(line["first_row"]) + 1 for line in lines)
    return lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "manifest"
    folder.mkdir()
    return folder


def test_repeated_rows_have_their_id_and_both_places(folder: Path) -> None:
    write_manifest(folder / "a.parquet", prompt_id=["x", "y", "z"], prompt=["a car", "a mug", "a hat"])
    write_manifest(folder / "b.parquet", prompt_id=["z", "x", "x"], prompt=["a hat", "a car", "a car"])

    lines = listed(folder)

    assert [line["prompt_id"] for line in lines] == ["z", "x", "x"]
    first = lines[0]
    assert (first["kind"], first["part"], first["first_row"], first["first_row_in_part"]) == (
        "repeated",
        "b.parquet",
        "3",
        "0",
    )
    assert (first["earlier_part"], first["earlier_row"], first["earlier_row_in_part"]) == ("a.parquet", "2", "2")
    assert first["reason"] == "equal to a.parquet row 2"


def test_rows_in_conflict_are_all_there(folder: Path) -> None:
    ids = [f"row-{number}" for number in range(50)]
    write_manifest(folder / "a.parquet", prompt_id=ids, prompt=["a car"] * 50)
    write_manifest(folder / "b.parquet", prompt_id=ids, prompt=["a hat"] * 50)

    lines = listed(folder)

    assert [line["prompt_id"] for line in lines] == ids
    assert {line["kind"] for line in lines} == {"conflict"}
    assert lines[7]["reason"] == "other content under the id of a.parquet row 7"


def test_bad_and_lost_rows_have_both_numbers(folder: Path) -> None:
    write_manifest(folder / "a.parquet", prompt_id=["x", "y"])
    write_manifest(folder / "b.parquet", seed=[-1, *range(299)])
    flip_bytes(folder / "b.parquet", row_group=1)

    bad, lost = listed(folder)

    assert (bad["kind"], bad["part"], bad["first_row"], bad["first_row_in_part"]) == ("bad", "b.parquet", "2", "0")
    assert (lost["kind"], lost["first_row"], lost["last_row"]) == ("lost", "102", "201")
    assert (lost["first_row_in_part"], lost["last_row_in_part"]) == ("100", "199")


def test_a_list_that_cannot_be_written_is_refused(folder: Path) -> None:
    path = write_manifest(folder / "a.parquet", prompt_id=["x"])

    with pytest.raises(ConfigError, match="--list"):
        write_list(scan(path), path, path / "rows.csv")
