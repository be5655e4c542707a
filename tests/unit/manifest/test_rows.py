"""The books of a manifest balance: rows that do not come are lost rows, with part, group, rows and cause."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import LostRows, ManifestReport, read_prompts, scan
from dreamfoundry.manifest.repetitions import RowPairs
from support.manifests import flip_bytes, promise_rows, write_manifest


@pytest.mark.parametrize("promised", [12_346, 13_000, 15_000])
def test_39_rows_that_are_promised_and_do_not_come_are_lost(tmp_path: Path, promised: int) -> None:
    path = tmp_path / "m.parquet"
    columns = {"prompt_id": [f"r{number}" for number in range(12_345)], "prompt": ["a mug"] * 12_345}
    pq.write_table(pa.table(columns), path, write_statistics=False, store_schema=False)
    promise_rows(path, 12_345, promised)

    report = scan(path)

    reason = f"the file promises {promised} rows, 12345 came"
    assert report.lost == (LostRows("m.parquet", 0, 12_345, promised - 1, reason),)
    assert (report.num_rows, report.num_prompts, report.num_lost_rows) == (promised, 12_345, promised - 12_345)


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("group", [0, 1, 2])
def test_damage_is_booked_under_its_part_group_and_rows(tmp_path: Path, group: int, column: int) -> None:
    ids = [f"row-{number}" for number in range(300)]
    write_manifest(tmp_path / "a.parquet", prompt_id=["first", "second"])
    flip_bytes(write_manifest(tmp_path / "b.parquet", prompt_id=ids), group, column)

    report = scan(tmp_path)

    (lost,) = report.lost
    first = 2 + 100 * group
    assert (lost.part, lost.row_group, lost.first_row, lost.last_row) == ("b.parquet", group, first, first + 99)
    assert "CRC" in lost.reason
    kept = [*ids[: 100 * group], *ids[100 * group + 100 :]]
    read = [prompt.prompt_id for prompt in read_prompts(tmp_path, report.skip_rows)]
    assert read == ["first", "second", *kept]


def test_rows_behind_damage_keep_their_numbers(tmp_path: Path) -> None:
    prompts = ["a mug"] * 299 + [""]
    path = write_manifest(tmp_path / "m.parquet", prompt=prompts)
    flip_bytes(path, 1, 0)

    (error,) = scan(path).row_errors

    assert error.row == 299


def test_a_manifest_of_which_every_row_is_lost_is_refused(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.parquet", prompt=["a mug"] * 200)
    flip_bytes(path, 0, 0, num_bytes=4)
    flip_bytes(path, 1, 0, num_bytes=4)

    with pytest.raises(ManifestError, match=r"none of its 200 rows can be read \(.*CRC"):
        scan(path)


@pytest.mark.parametrize(
    ("num_rows", "num_prompts", "num_lost", "repeated"),
    [(3, 4, 0, ()), (3, 2, 0, ()), (4, 2, 1, (1, 2)), (1, 0, 0, ())],
)
def test_39_books_that_do_not_balance_are_refused(
    num_rows: int, num_prompts: int, num_lost: int, repeated: tuple[int, ...]
) -> None:
    lost = (LostRows("m.parquet", 0, 0, num_lost - 1, "CRC"),) if num_lost else ()

    pairs = RowPairs(np.array([(row, 0) for row in repeated], "<u8").reshape(-1, 2))
    with pytest.raises(ManifestError, match=f"promises {num_rows} rows, and {num_prompts + num_lost + len(repeated)}"):
        ManifestReport("digest", num_rows, num_prompts, (), lost, pairs, (), ())
