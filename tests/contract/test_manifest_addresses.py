"""Addresses of manifests: each is read, or refused with what would work; nothing is dropped on the way from S3."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import ManifestError, Stopped, StoreUnavailable
from dreamfoundry.manifest.reader import NotRead, scan
from dreamfoundry.object_store.open import local_copy
from dreamfoundry.object_store.s3.store import S3Store
from support.ports import free_ports

BYTES = "application/octet-stream"
COPY = """
import sys
from pathlib import Path
from dreamfoundry.errors import DreamfoundryError
from dreamfoundry.object_store.open import local_copy
try:
    print(local_copy(sys.argv[1], Path(sys.argv[2])))
except DreamfoundryError as error:
    print(type(error).__name__, error)
"""


def part(folder: Path, prompt_id: str) -> bytes:
    path = folder / "made.parquet"
    pq.write_table(pa.table({"prompt_id": [prompt_id], "prompt": ["a mug"]}), path)
    return path.read_bytes()


@pytest.fixture
def copied(s3_server: Any, tmp_path: Path) -> Callable[[str], str]:
    """Copies the manifest at a URL in a process that finds S3 through the environment; what it printed."""
    target = tmp_path / "copies"
    target.mkdir()

    def copy(url: str) -> str:
        command = [sys.executable, "-c", COPY, url, str(target)]
        done = subprocess.run(command, env=s3_server.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return copy


def test_a_prefix_on_s3_is_read_as_a_folder_is(
    copied: Callable[[str], str], new_s3_store: Callable[..., S3Store], tmp_path: Path
) -> None:
    store = new_s3_store()
    for name in ("m/0.parquet", "m/B.PARQUET", "m/date=1/2.parquet", "m/old/3.parquet", "m/_draft.parquet"):
        store.put(name, part(tmp_path, name.replace("/", "-").replace("=", "-")), BYTES)
    for name in ("m/notes.txt", "m/_SUCCESS", "m/0.parquet.crc"):
        store.put(name, b"", BYTES)

    for url in (f"{store.url}/m", f"{store.url}/m/"):
        report = scan(Path(copied(url)), address=url)

        assert report.num_prompts == 3
        assert [item.name for item in report.not_read] == ["_draft.parquet", "notes.txt", "old/"]
        assert report.ignored_columns == ("date",)


def test_an_object_on_s3_is_copied(
    copied: Callable[[str], str], new_s3_store: Callable[..., S3Store], tmp_path: Path
) -> None:
    store = new_s3_store()
    for name in ("one.parquet", "é 1.parquet", "without_suffix"):
        store.put(name, part(tmp_path, "one"), BYTES)

        assert scan(Path(copied(f"{store.url}/{name}"))).num_prompts == 1


def test_what_is_not_on_s3_is_refused_under_its_address(
    copied: Callable[[str], str], new_s3_store: Callable[..., S3Store]
) -> None:
    store = new_s3_store()
    store.put("texts/prompts.txt", b"a mug", BYTES)

    for name, beside in (("absent", ""), ("texts", " (it holds prompts.txt)"), ("text", "")):
        url = f"{store.url}/{name}"
        refused = f"ManifestError {url!r} is neither an object nor a prefix with *.parquet objects in it{beside}"
        assert copied(url) == refused
    assert copied("s3://no-such-bucket-here/m.parquet").startswith(
        "ManifestError manifest s3://no-such-bucket-here/m.parquet: "
    )
    assert "must name a bucket" in copied("s3://")


@pytest.mark.parametrize("url", ["s3://shelf/m.parquet", "s3://shelf/nightly/", "s3://shelf"])
@pytest.mark.parametrize("store_s", [0.0, 60.0])
def test_an_endpoint_that_is_closed_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, store_s: float
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    began_s = time.monotonic()

    with pytest.raises(StoreUnavailable, match=rf"^manifest {url}: .*; check the network and AWS_ENDPOINT_URL_S3$"):
        local_copy(url, tmp_path, retry_timeout_s=store_s)

    assert time.monotonic() - began_s < 30.0


def test_a_stop_ends_the_waiting_for_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    with pytest.raises(Stopped):
        local_copy("s3://shelf/m.parquet", tmp_path, lambda: True)


def test_a_path_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "a b.parquet"

    assert local_copy(path, tmp_path / "elsewhere") == path
    assert local_copy(str(path), tmp_path / "elsewhere") == path
    assert local_copy(path.as_uri(), tmp_path / "elsewhere") == path
    assert local_copy(path.as_uri().replace("file:///", "file://localhost/"), tmp_path / "elsewhere") == path


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("", "unset variable"),
        (" ", "unset variable"),
        ("s3a://shelf/m.parquet", "write s3://shelf/m.parquet"),
        ("s3n://shelf/m", "write s3://shelf/m"),
        ("S3://shelf/m", "write s3://shelf/m"),
        ("gs://shelf/m.parquet", "must be a path or s3://bucket/key"),
        ("https://example.com/m.parquet", "must be a path or s3://bucket/key"),
        ("hf://datasets/someone/prompts", "must be a path or s3://bucket/key"),
        ("abfss://box@account/m", "must be a path or s3://bucket/key"),
        ("file://server/m.parquet", "must be file:///path"),
        ("file:m.parquet", "must be file:///path"),
        ("m\udcff.parquet", "must be a name in UTF-8"),
    ],
)
def test_an_address_of_another_kind_is_refused_with_what_would_work(tmp_path: Path, url: str, remedy: str) -> None:
    with pytest.raises(ManifestError, match=remedy):
        local_copy(url, tmp_path)


def test_a_named_pipe_and_a_device_are_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "0.parquet")

    for path in (tmp_path / "pipe", Path("/dev/zero"), folder):
        with pytest.raises(ManifestError, match="named pipe"):
            scan(path)


def test_messages_name_the_address_and_not_the_copy(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "0.parquet").write_bytes(b"a mug\n")

    with pytest.raises(ManifestError, match=r"^s3://shelf/m/0\.parquet: not a Parquet file"):
        scan(folder, address="s3://shelf/m/")
    with pytest.raises(ManifestError, match=r"^s3://shelf/m\.parquet: not a Parquet file"):
        scan(folder / "0.parquet", address="s3://shelf/m.parquet")


def test_what_lies_beside_the_parts_is_named(tmp_path: Path) -> None:
    for name in ("0.parquet", "_1.parquet", ".2.parquet", "3.tmp.parquet", "4.csv"):
        (tmp_path / name).write_bytes(part(tmp_path, name))
    (tmp_path / "made.parquet").unlink()
    (tmp_path / "backup.parquet").mkdir()

    assert scan(tmp_path).not_read == (
        NotRead(".2.parquet", "its name begins with . or _, as those of hidden files and drafts do"),
        NotRead("3.tmp.parquet", "its name is that of an unfinished file"),
        NotRead("4.csv", "its name does not end in .parquet"),
        NotRead("_1.parquet", "its name begins with . or _, as those of hidden files and drafts do"),
        NotRead("backup.parquet/", "a folder within the manifest's; only partitions (key=value) are entered"),
    )


def test_a_stop_ends_the_reading(tmp_path: Path) -> None:
    (tmp_path / "0.parquet").write_bytes(part(tmp_path, "one"))

    with pytest.raises(Stopped):
        scan(tmp_path, should_stop=lambda: True)
