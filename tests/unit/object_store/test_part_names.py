"""Names are parts, hidden, markers or strangers, on a disk as on S3."""

import pytest

from dreamfoundry.object_store.part_names import is_hidden, is_marker, is_part, partition_key


@pytest.mark.parametrize(
    "name",
    [
        "a.parquet",
        "A.PARQUET",
        "part-00000-6f1c.c000.zstd.parquet",
        "date=1/a.parquet",
        "y=1/m=02/a.parquet",
        "a b.parquet",
    ],
)
def test_finished_parquet_files_are_parts(name: str) -> None:
    assert is_part(name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "parquet",
        "a.csv",
        "a.parquet.crc",
        "_a.parquet",
        ".a.parquet",
        "a.TMP.parquet",
        "a.inprogress.parquet",
        "old/a.parquet",
        "date=1/old/a.parquet",
        "_date=1/a.parquet",
        "/a.parquet",
        "../a.parquet",
        "x/../a.parquet",
        "",
    ],
)
def test_other_names_are_none(name: str) -> None:
    assert not is_part(name)


@pytest.mark.parametrize(
    "name", ["_SUCCESS", "_metadata", "_common_metadata", ".part-0.parquet.crc", "date=1/_SUCCESS"]
)
def test_what_writers_leave_beside_the_parts_is_a_marker(name: str) -> None:
    assert is_marker(name)
    assert not is_part(name)


@pytest.mark.parametrize("name", ["_draft.parquet", "notes.txt", "SUCCESS", "_success.parquet"])
def test_what_a_person_may_have_left_is_none(name: str) -> None:
    assert not is_marker(name)


def test_the_key_of_a_partition_is_in_the_name_of_its_folder() -> None:
    assert [partition_key(name) for name in ("date=2026-11-28", "date", "=1", "_x=1", "a=b=c")] == [
        "date",
        "",
        "",
        "",
        "a",
    ]
    assert (is_hidden("_a"), is_hidden(".a"), is_hidden("a_")) == (True, True, False)
