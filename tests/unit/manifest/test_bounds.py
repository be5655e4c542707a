"""Bounds: a value over its bound costs its row, a file that could not be read is refused, and neither takes memory."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dreamfoundry
from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.bounds import MAX_JSON_BYTES, MAX_ROWS, MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT_BYTES
from dreamfoundry.manifest.reader import scan
from support.manifests import promise_rows, refused_rows, sound_prompts, write_manifest

MIB = 2**20
SCAN = """
import resource, sys, time
from pathlib import Path
from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import scan
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    report = scan(Path(sys.argv[1]))
    told = f"{report.num_prompts} sound, {len(report.row_errors)} bad, {len(report.repeated)} repeated"
except ManifestError as error:
    told = str(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
print(told)
"""


def scanned(path: Path) -> tuple[int, str]:
    """MiB that a scan takes beyond what Python and Arrow do, and what it says."""
    environment = {"PYTHONPATH": str(Path(dreamfoundry.__file__).parents[1])}
    command = [sys.executable, "-c", SCAN, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    memory_mib, told = done.stdout.splitlines()
    return int(memory_mib), told


def shared(text: str, num_rows: int) -> pa.Array:
    """A column of one text, stored once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * num_rows, pa.int32()), pa.array([text]))


@pytest.mark.parametrize(
    ("column", "most"),
    [
        ("prompt_id", MAX_TEXT_BYTES),
        ("prompt", MAX_TEXT_BYTES),
        ("negative_prompt", MAX_TEXT_BYTES),
        ("budget_profile", MAX_TEXT_BYTES),
        ("recipe_overrides", MAX_JSON_BYTES),
        ("view_prompts", MAX_JSON_BYTES),
    ],
)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_a_text_over_its_bound_costs_its_row(tmp_path: Path, column: str, most: int, kind: pa.DataType) -> None:
    values = ["x" * (most + 1), "y" * most, None]
    texts = pa.array(values).cast(kind) if not pa.types.is_dictionary(kind) else pa.array(values).dictionary_encode()

    messages = refused_rows(write_manifest(tmp_path / "m.parquet", **{column: texts}))

    assert f"{column} is a text of {most + 1} bytes: must have at most {most} bytes" in messages[0]
    assert not any("bytes" in message for message in messages[1:])


def test_a_tag_over_its_bound_costs_its_row(tmp_path: Path) -> None:
    tags = [["wood"], ["wood", "x" * (MAX_TAG_BYTES + 1)], None, ["red"]]

    (message,) = refused_rows(write_manifest(tmp_path / "m.parquet", tags=tags))

    assert message == f"row 1 (row-1): tags[1] is a text of {MAX_TAG_BYTES + 1} bytes: must have at most 4096 bytes"


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_view(pa.string())], ids=str
)
def test_too_many_tags_cost_their_row_and_no_other(tmp_path: Path, kind: pa.DataType) -> None:
    most = [f"tag {number}" for number in range(MAX_TAGS)]
    tags = pa.array([["a"], [*most, "one more"], None, most, ["b"]], kind)
    path = write_manifest(tmp_path / "m.parquet", tags=tags)

    assert refused_rows(path) == ["row 1 (row-1): tags is a list of 65: must have at most 64"]
    path = write_manifest(tmp_path / "n.parquet", tags=pa.array([["a"], most], kind))
    assert [prompt.tags for prompt in sound_prompts(path)] == [("a",), tuple(most)]


def test_more_rows_than_any_night_builds_are_refused_by_the_footer(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    columns = {"prompt_id": ["x"] * 2_097_151, "prompt": ["y"] * 2_097_151}
    pq.write_table(pa.table(columns), path, row_group_size=2_097_151, store_schema=False, write_statistics=False)
    promise_rows(path, 2_097_151, 100_000_000)

    with pytest.raises(ManifestError, match=f"has 100000000 rows: must be at most {MAX_ROWS}; split it"):
        scan(path)


def one_text_of_a_gibibyte(path: Path) -> None:
    text = pa.array(["a" * 2**30], pa.large_string())
    pq.write_table(pa.table({"prompt_id": ["x"], "prompt": text}), path, compression="zstd", write_statistics=False)


def rows_that_share_a_huge_text(path: Path) -> None:
    columns = {"prompt_id": [str(number) for number in range(2000)], "prompt": shared("b" * (16 * MIB), 2000)}
    pq.write_table(pa.table(columns), path, compression="zstd", write_statistics=False)


def many_rows_that_share_a_huge_text(path: Path) -> None:
    columns = {"prompt_id": [str(number) for number in range(25_000)], "prompt": shared("b" * (16 * MIB), 25_000)}
    pq.write_table(pa.table(columns), path, row_group_size=25_000, compression="zstd", write_statistics=False)


def many_rows_and_one_of_two_million_long_tags(path: Path) -> None:
    offsets = pa.array([*range(25_000), 2_000_000 + 25_000], pa.int32())
    tags = pa.ListArray.from_arrays(offsets, shared("t" * 4000, 2_025_000))
    columns = {"prompt_id": [str(number) for number in range(25_000)], "prompt": shared("a mug", 25_000), "tags": tags}
    pq.write_table(pa.table(columns), path, row_group_size=25_000, compression="zstd", write_statistics=False)


def a_row_of_five_million_tags(path: Path) -> None:
    offsets = pa.array([0, 5_000_000], pa.int32())
    tags = pa.ListArray.from_arrays(offsets, shared("t", 5_000_000).cast(pa.string()))
    pq.write_table(pa.table({"prompt_id": ["x"], "prompt": ["y"], "tags": tags}), path, compression="zstd")


def a_row_of_thirty_million_tags(path: Path) -> None:
    offsets = pa.array([0, 30_000_000], pa.int32())
    tags = pa.ListArray.from_arrays(offsets, shared("t", 30_000_000).cast(pa.string()))
    pq.write_table(pa.table({"prompt_id": ["x"], "prompt": ["y"], "tags": tags}), path, compression="zstd")


def a_huge_override(path: Path) -> None:
    text = pa.array(['{"a": "' + "x" * (24 * MIB) + '"}', None])
    columns = {"prompt_id": ["x", "y"], "prompt": ["a mug", "a car"], "recipe_overrides": text}
    pq.write_table(pa.table(columns), path, compression="zstd", write_statistics=False)


@pytest.mark.parametrize(
    ("write", "told", "most_mib"),
    [
        (rows_that_share_a_huge_text, "0 sound, 2000 bad, 0 repeated", 250),
        pytest.param(many_rows_that_share_a_huge_text, "0 sound, 25000 bad, 0 repeated", 300, marks=pytest.mark.slow),
        pytest.param(
            many_rows_and_one_of_two_million_long_tags, "0 sound, 25000 bad, 0 repeated", 300, marks=pytest.mark.slow
        ),
        (a_row_of_five_million_tags, "0 sound, 1 bad, 0 repeated", 200),
        (a_huge_override, "1 sound, 1 bad, 0 repeated", 250),
    ],
)
def test_40_a_few_bytes_that_stand_for_many_cost_their_rows_and_little_memory(
    tmp_path: Path, write: Callable[[Path], Any], told: str, most_mib: int
) -> None:
    path = tmp_path / "bomb.parquet"
    write(path)
    assert path.stat().st_size < 200_000

    memory_mib, said = scanned(path)

    assert said == told
    assert memory_mib < most_mib


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "told"),
    [
        (one_text_of_a_gibibyte, "column 'prompt' has 1024 MiB in the 1 rows of row group 0: must be at most 32 MiB"),
        (a_row_of_thirty_million_tags, "column 'tags' has 30000000 values in the 1 rows of row group 0: must be at"),
    ],
)
def test_40_what_would_take_gigabytes_to_read_is_refused_by_the_footer(
    tmp_path: Path, write: Callable[[Path], Any], told: str
) -> None:
    path = tmp_path / "bomb.parquet"
    write(path)

    memory_mib, said = scanned(path)

    assert told in said
    assert memory_mib < 50


@pytest.mark.slow
def test_a_row_three_million_times_is_one_prompt_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    columns = {"prompt_id": shared("x", 3_000_000), "prompt": shared("a mug", 3_000_000)}
    pq.write_table(pa.table(columns), path, compression="zstd")

    memory_mib, said = scanned(path)

    assert said == "1 sound, 0 bad, 2999999 repeated"
    assert memory_mib < 600
