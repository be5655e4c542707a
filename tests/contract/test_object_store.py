"""One suite for every place that keeps bytes: the fixture `store` is a directory, moto, then radosgw."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from dreamfoundry.errors import ConfigError, ObjectMissing, StoreUnavailable
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.open import open_store
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.object_store.s3.multipart import PART_BYTES
from dreamfoundry.object_store.s3.store import S3Store

TEXT = "text/plain"


def test_what_was_put_is_read_back_with_its_etag(store: ObjectStore) -> None:
    store.put("a/b.txt", b"one", TEXT)
    data, etag = store.read("a/b.txt")
    store.put("a/b.txt", b"two", TEXT)

    assert data == b"one"
    assert store.get("a/b.txt") == b"two"
    assert store.read("a/b.txt")[1] != etag
    assert store.exists("a/b.txt")


def test_size_and_age_are_known_without_reading(store: ObjectStore) -> None:
    store.put("a/b.txt", b"four", TEXT)

    found = store.stat("a/b.txt")

    assert found is not None
    assert (found.key, found.num_bytes) == ("a/b.txt", 4)
    assert abs(store.now_s() - found.modified_s) < 5.0
    (listed,) = store.stats("a/")
    assert (listed.key, listed.num_bytes) == ("a/b.txt", 4)
    assert abs(listed.modified_s - found.modified_s) < 1.0
    assert store.stat("a") is None
    assert store.stat("a/b.txt/c") is None


def test_whether_a_key_holds_certain_bytes(store: ObjectStore) -> None:
    store.put("k", b"these", TEXT)

    assert store.holds("k", b"these")
    assert not store.holds("k", b"those")
    assert not store.holds("k", b"these and more")
    assert not store.holds("absent", b"")


@pytest.mark.parametrize("num_bytes", [0, 5, PART_BYTES + 5], ids=["empty", "small", "in parts"])
def test_a_file_is_put_and_compared_by_its_bytes_wherever_it_stands(store: ObjectStore, num_bytes: int) -> None:
    data = (b"0123456789abcdef" * (num_bytes // 16 + 1))[:num_bytes]
    with TemporaryFile() as file:
        file.write(data)
        assert not store.holds_file("k", file)
        store.put("k", b"other", TEXT)
        store.put_file("k", file, TEXT)
        file.seek(num_bytes // 2)

        assert store.holds_file("k", file)
        assert store.get("k") == data
        file.seek(0, SEEK_END)
        file.write(b"?")
        assert not store.holds_file("k", file)
        if num_bytes:
            file.truncate(num_bytes)
            file.seek(num_bytes - 1)
            file.write(b"?")
            assert not store.holds_file("k", file)
            file.truncate(num_bytes - 1)
            assert not store.holds_file("k", file)


def test_a_file_gets_the_bytes_of_a_key_and_no_others(store: ObjectStore) -> None:
    store.put("k", b"these", TEXT)
    with TemporaryFile() as file:
        file.write(b"something longer")

        store.get_file("k", file)

        file.seek(0)
        assert file.read() == b"these"
        with pytest.raises(ObjectMissing, match="absent"):
            store.get_file("absent", file)


def test_an_absent_key_is_missing_not_empty(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match="nothing"):
        store.get("nothing")
    assert store.stat("nothing") is None
    assert not store.exists("nothing")
    store.delete("nothing")


def test_create_never_overwrites(store: ObjectStore) -> None:
    assert store.create("k", b"first", TEXT)
    assert not store.create("k", b"second", TEXT)
    assert not store.create("k", b"first", TEXT)
    assert store.get("k") == b"first"


def test_of_sixteen_threads_that_create_one_key_exactly_one_wins(store: ObjectStore) -> None:
    start = threading.Barrier(16)

    def contend(number: int) -> bool:
        start.wait()
        return store.create("race", f"{number}".encode(), TEXT)

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(contend, range(16)))

    assert won.count(True) == 1
    assert store.get("race") == str(won.index(True)).encode()


def test_replace_needs_the_etag_that_stands(store: ObjectStore) -> None:
    store.put("k", b"one", TEXT)
    _, etag = store.read("k")

    assert store.replace("k", b"two", TEXT, etag)
    assert not store.replace("k", b"three", TEXT, etag)
    assert not store.replace("absent", b"four", TEXT, etag)
    assert store.get("k") == b"two"
    assert not store.exists("absent")


def test_of_eight_threads_that_replace_one_etag_exactly_one_wins(store: ObjectStore) -> None:
    store.put("k", b"old", TEXT)
    _, etag = store.read("k")

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.replace("k", str(number).encode(), TEXT, etag), range(8)))

    assert won.count(True) == 1
    assert store.get("k") == str(won.index(True)).encode()


def test_listing_gives_the_keys_under_a_prefix_in_order(store: ObjectStore) -> None:
    keys = ["b/2", "b/10", "b-1/x", "a/x/y", "bc"]
    for key in keys:
        store.put(key, b"", TEXT)

    assert list(store.list()) == sorted(keys)
    assert list(store.list("b/")) == ["b/10", "b/2"]
    assert list(store.list("b")) == ["b-1/x", "b/10", "b/2", "bc"]
    assert list(store.list("nowhere/")) == []


def test_a_copy_outlives_its_source(store: ObjectStore) -> None:
    store.put("source", b"bytes", TEXT)
    store.put("target", b"other", TEXT)

    store.copy("source", "target")
    store.copy("source", "target")
    store.delete("source")

    assert store.get("target") == b"bytes"
    assert not store.exists("source")
    with pytest.raises(ObjectMissing):
        store.copy("source", "target")


def test_the_stores_clock_is_near_ours(store: ObjectStore) -> None:
    store.exists("k")

    assert abs(store.now_s() - time.time()) < 5.0


def test_a_directory_never_lists_what_is_half_written(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    (tmp_path / ".staging" / "left-behind").write_bytes(b"half")

    assert list(store.list()) == []
    (left,) = store.unfinished()
    store.discard(left)
    store.discard(left)
    assert list(store.unfinished()) == []


def test_a_directory_keeps_no_empty_folders(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a/b/c", b"", TEXT)
    store.put("a/d", b"", TEXT)

    store.delete("a/b/c")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["d"]
    store.delete("a/d")
    assert [path.name for path in tmp_path.iterdir()] == [".staging"]


def test_folders_that_empty_while_others_fill_them_lose_nothing(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)

    def fill_and_empty(number: int) -> None:
        for turn in range(20):
            assert store.create(f"a/b/{number}", b"x", TEXT), turn
            store.copy(f"a/b/{number}", f"a/c/{number}")
            store.delete(f"a/b/{number}")
            store.delete(f"a/c/{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill_and_empty, range(4)))

    assert list(store.list()) == []


def test_keys_that_would_leave_the_store_or_hide_in_it_are_refused(store: ObjectStore) -> None:
    for key in ("../outside", "a//b", "/etc/x", ".staging/x", "", "a/..", "a/./b"):
        with pytest.raises(ValueError, match="parts"):
            store.put(key, b"", TEXT)
    with pytest.raises(ValueError, match="control characters"):
        store.create("a\r\nX-Evil: yes", b"", TEXT)
    assert list(store.list()) == []


def test_a_directory_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StoreUnavailable, match="choose a directory"):
        DirectoryStore(tmp_path / "file" / "library")


def test_34_a_disk_that_takes_no_more_is_named_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    program = f"""
import resource
from dreamfoundry.errors import StoreUnavailable
from dreamfoundry.object_store.directory import DirectoryStore
store = DirectoryStore({str(tmp_path)!r})
store.put("small", bytes(100), "text/plain")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))
for write in (store.put, store.create):
    try:
        write("large", bytes(10_000), "text/plain")
    except StoreUnavailable as error:
        print(error)
"""
    first, second = opened_elsewhere(program, dict(os.environ)).splitlines()
    assert "large: File too large; no file may be so large here" in first
    assert first == second
    store = DirectoryStore(tmp_path)
    assert list(store.list()) == ["small"]
    assert list(store.unfinished()) == []


def opened_elsewhere(program: str, environment: dict[str, str]) -> str:
    """The output of `program` in a fresh interpreter that finds S3 through the environment."""
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_another_process_opens_the_same_store_by_its_url(s3_server: Any, new_s3_store: Callable[..., S3Store]) -> None:
    s3_store = new_s3_store()
    s3_store.put("k", b"shared", TEXT)
    program = (
        f"from dreamfoundry.object_store.open import open_store; print(open_store({s3_store.url!r}).get('k').decode())"
    )

    assert opened_elsewhere(program, s3_server.environment) == "shared"


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="s3://bucket/prefix or a directory"):
        open_store("gs://bucket/library")
    with pytest.raises(ConfigError, match="must name a bucket"):
        open_store("s3://")
