"""Files of a manifest: parts are chosen as Spark and Arrow choose them, and what is no part is named."""

import base64
import gzip
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import read_prompts, scan
from support.manifests import promise_rows, write_manifest

TABLE = pa.table({"prompt_id": ["a", "b"], "prompt": ["a mug", "a car"], "artist": ["me", "you"]})


def read_ids(path: Path) -> list[str]:
    return [prompt.prompt_id for prompt in read_prompts(path, scan(path).skip_rows)]


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["b.parquet", "a.parquet"], ["a.parquet", "b.parquet"]),
        (["a.PARQUET", "b.Parquet", "c.snappy.parquet"], ["a.PARQUET", "b.Parquet", "c.snappy.parquet"]),
        (["part-0.parquet", "_SUCCESS", "part-0.parquet.crc", "_metadata", "_common_metadata"], ["part-0.parquet"]),
        (["date=1/a.parquet", "date=2/a.parquet"], ["date=1/a.parquet", "date=2/a.parquet"]),
        (["date=1/hour=2/a.parquet", "date=1/_b.parquet"], ["date=1/hour=2/a.parquet"]),
        (["é ü.parquet"], ["é ü.parquet"]),
    ],
)
def test_the_parts_of_a_folder_are_chosen_as_spark_and_arrow_choose_them(
    tmp_path: Path, names: list[str], read: list[str]
) -> None:
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_manifest(tmp_path / name, prompt_id=[f"id-{number}"])

    assert read_ids(tmp_path) == [f"id-{names.index(name)}" for name in read]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("._a.parquet", "begins with . or _"),
        ("_draft.parquet", "begins with . or _"),
        ("a.tmp.parquet", "unfinished"),
        ("a.partial.parquet", "unfinished"),
        ("a.parquet.gz", "does not end in .parquet"),
        ("prompts.csv", "does not end in .parquet"),
        ("README", "does not end in .parquet"),
        ("old/a.parquet", "only partitions"),
        (".cache/a.parquet", "begins with . or _"),
        ("date=1/old/a.parquet", "only partitions"),
    ],
)
def test_what_is_left_out_is_named(tmp_path: Path, name: str, reason: str) -> None:
    write_manifest(tmp_path / "0.parquet", prompt_id=["a"])
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    write_manifest(tmp_path / name, prompt_id=["a"], prompt=["something else"])

    report = scan(tmp_path)

    (left_out,) = report.not_read
    assert name.startswith(left_out.name)
    assert reason in left_out.reason
    assert report.num_rows == 1


def test_names_that_are_no_utf8_are_named_so_that_a_report_can_hold_them(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.parquet", prompt_id=["a"])
    (tmp_path / os.fsdecode(b"c\xff.txt")).touch()

    assert [item.name for item in scan(tmp_path).not_read] == ["c\ufffd.txt"]

    shutil.copy(tmp_path / "a.parquet", tmp_path / os.fsdecode(b"b\xff.parquet"))
    with pytest.raises(ManifestError, match=": its name is not UTF-8; rename the file"):
        scan(tmp_path)


def test_a_folder_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a.parquet", prompt_id=["a"])
    (tmp_path / "again=1").symlink_to(tmp_path)

    with pytest.raises(ManifestError, match="cannot be read: Too many levels"):
        scan(tmp_path)


def test_a_folder_without_a_part_says_what_there_is(tmp_path: Path) -> None:
    write_manifest(tmp_path / "_draft.parquet", prompt_id=["a"])
    (tmp_path / "prompts.csv").touch()

    with pytest.raises(ManifestError, match=r"holds no \*\.parquet file \(_draft\.parquet: .*; prompts\.csv: "):
        scan(tmp_path)


def test_a_value_in_the_name_of_a_folder_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "priority=9").mkdir()
    write_manifest(tmp_path / "priority=9" / "a.parquet", prompt_id=["a"])

    with pytest.raises(ManifestError, match="priority stands in the names of folders only; write it into the files"):
        scan(tmp_path)


def test_the_old_files_of_a_delta_table_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    write_manifest(tmp_path / "a.parquet", prompt_id=["a"])

    with pytest.raises(ManifestError, match="is a Delta table"):
        scan(tmp_path)


def arrow_file(path: Path) -> None:
    pyarrow.feather.write_feather(TABLE, path)


def cut_file(path: Path) -> None:
    pq.write_table(TABLE, path)
    path.write_bytes(path.read_bytes()[:-5])


def appended_file(path: Path) -> None:
    pq.write_table(TABLE, path)
    path.write_bytes(path.read_bytes() + b"\n")


def arrow_stream(path: Path) -> None:
    with pa.ipc.new_stream(path, TABLE.schema) as stream:
        stream.write_table(TABLE)


def torn_footer(path: Path) -> None:
    pq.write_table(TABLE, path)
    data = path.read_bytes()
    path.write_bytes(data[:-60] + b"\xff" * 40 + data[-20:])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"PAR1", "no footer: it is cut off"),
        (b"a mug\na car\n", "not a Parquet file: it is text; `dreamfoundry make FILE"),
        (b"prompt_id,prompt\na,b\n", "it is text; `dreamfoundry make FILE prompts.parquet` makes one"),
        (b'{"prompt": "a mug"}', "it is text; `dreamfoundry make"),
        ("ein Stuhl aus Ü".encode()[:-1], "it is text; `dreamfoundry make"),
        (b"\x00\x01 a mug", r"not a Parquet file \(.*`dreamfoundry make` makes one"),
        (arrow_stream, "it is an Arrow stream; write it as Parquet"),
        (appended_file, "further bytes behind its end; write or copy it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n",
            "it is a Git LFS pointer.*git lfs pull",
        ),
        (b"<!DOCTYPE html><html></html>", "it is a web page"),
        (b"<?xml version='1.0'?><Error/>", "it is XML"),
        (gzip.compress(b"a mug"), "it is compressed with gzip; unpack it first"),
        (b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml", "it is an Excel workbook"),
        (b"ORC" + b"\0" * 20, "it is an ORC file"),
        (arrow_file, "it is an Arrow .* file; write it as Parquet"),
        (cut_file, "no footer: it is cut off"),
        (torn_footer, "cannot be read as a Parquet file"),
    ],
)
def test_a_file_that_is_none_of_parquet_is_named(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / "m.parquet"
    if callable(content):
        content(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)

    with pytest.raises(ManifestError, match=rf"m\.parquet: .*{reason}"):
        scan(path)


def encrypt(path: Path, *, columns: list[str], plain_footer: bool) -> None:
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class OpenKeys(encryption.KmsClient):  # type: ignore[name-defined,misc]
        """Keys that are their own secret."""

        def __init__(self, connection: object) -> None:
            super().__init__()

        def wrap_key(self, key: bytes, name: str) -> bytes:
            return base64.b64encode(key)

        def unwrap_key(self, key: bytes, name: str) -> bytes:
            return base64.b64decode(key)

    settings = encryption.EncryptionConfiguration("footer", column_keys={"key": columns}, plaintext_footer=plain_footer)
    properties = encryption.CryptoFactory(OpenKeys).file_encryption_properties(
        encryption.KmsConnectionConfig(), settings
    )
    with pq.ParquetWriter(path, TABLE.schema, encryption_properties=properties) as writer:
        writer.write_table(TABLE)


@pytest.mark.parametrize(
    ("columns", "plain_footer"), [(["prompt"], False), (["prompt"], True), (["prompt_id", "prompt"], True)]
)
def test_an_encrypted_manifest_is_refused(tmp_path: Path, columns: list[str], plain_footer: bool) -> None:
    encrypt(tmp_path / "m.parquet", columns=columns, plain_footer=plain_footer)

    with pytest.raises(ManifestError, match=r"encrypted, .* key here.*; write (it|them) without encryption"):
        scan(tmp_path / "m.parquet")


def test_an_encrypted_column_that_nobody_reads_does_no_harm(tmp_path: Path) -> None:
    encrypt(tmp_path / "m.parquet", columns=["artist"], plain_footer=True)

    assert read_ids(tmp_path / "m.parquet") == ["a", "b"]


def test_a_column_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(TABLE.rename_columns(["prompt_id", "prompt", "QQQQ"]), path)
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"Q\xe9\xe8Q"))

    with pytest.raises(ManifestError, match="a column's name is not UTF-8; rename the column or leave it out"):
        scan(path)


@pytest.mark.parametrize(("num_rows", "promised"), [(12_345, 12_000), (12_345, 8_200)])
def test_a_footer_that_promises_fewer_rows_than_there_are_is_refused(
    tmp_path: Path, num_rows: int, promised: int
) -> None:
    path = tmp_path / "m.parquet"
    columns = {"prompt_id": [f"r{number}" for number in range(num_rows)], "prompt": ["a mug"] * num_rows}
    pq.write_table(pa.table(columns), path, write_statistics=False, store_schema=False)
    promise_rows(path, num_rows, promised)

    with pytest.raises(
        ManifestError,
        match=f"footer is damaged: column 'prompt_id' has {num_rows} values in the {promised} rows of row group 0",
    ):
        scan(path)


def test_messages_about_one_part_name_it(tmp_path: Path) -> None:
    write_manifest(tmp_path / "0.parquet", prompt_id=["a"])
    write_manifest(tmp_path / "1.parquet", prompt_id=["b"], seed=["7"])

    with pytest.raises(ManifestError, match=r"/1\.parquet: column 'seed' has type string"):
        scan(tmp_path)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("page", ["1.0", "2.0"])
def test_every_codec_and_page_is_read(tmp_path: Path, codec: str, page: str) -> None:
    pq.write_table(TABLE, tmp_path / "m.parquet", compression=codec, data_page_version=page, write_page_index=True)

    assert read_ids(tmp_path / "m.parquet") == ["a", "b"]


def test_row_groups_and_parts_without_rows_are_read(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "0.parquet")
    with pq.ParquetWriter(tmp_path / "1.parquet", TABLE.schema) as writer:
        for table in (TABLE.slice(0, 0), TABLE.slice(0, 1), TABLE.slice(0, 0), TABLE.slice(1)):
            writer.write_table(table)

    assert read_ids(tmp_path) == ["a", "b"]


def test_a_hundred_parts_keep_their_order(tmp_path: Path) -> None:
    for number in range(100):
        pq.write_table(pa.table({"prompt_id": [f"r{number}"], "prompt": ["x"]}), tmp_path / f"{number:03d}.parquet")

    assert read_ids(tmp_path) == [f"r{number}" for number in range(100)]


@pytest.mark.parametrize("name", ["prompt.embedding", "seed.parts", "recipe_overrides.x"])
def test_a_stranger_that_begins_like_a_column_of_ours_is_ignored(tmp_path: Path, name: str) -> None:
    table = pa.table({"prompt_id": ["a", "b"], "prompt": ["a mug", "a car"], name: [[0.5] * 100, [0.25] * 100]})
    pq.write_table(table, tmp_path / "m.parquet")

    assert read_ids(tmp_path / "m.parquet") == ["a", "b"]
    assert scan(tmp_path / "m.parquet").ignored_columns == (name,)
