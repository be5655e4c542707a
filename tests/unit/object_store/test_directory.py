"""A directory in which single files cannot be read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dreamfoundry.errors import ObjectCorrupt
from dreamfoundry.object_store.directory import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """One with a sound object, and one on a bad sector: what this link leads to ends every reading with EIO."""
    store = DirectoryStore(tmp_path)
    store.put("good", b"good", "text/plain")
    (tmp_path / "bad").symlink_to("/proc/self/mem")
    return store


def test_a_file_that_cannot_be_read_is_told_by_its_key_and_its_neighbours_are_read(store: DirectoryStore) -> None:
    for read in (store.get, store.read, lambda key: store.get_file(key, io.BytesIO())):
        with pytest.raises(ObjectCorrupt, match="bad: cannot be read: Input/output error"):
            read("bad")
    assert store.get("good") == b"good"
    assert [*store.list()] == ["bad", "good"]


def test_a_file_that_cannot_be_read_holds_nothing_and_can_be_written_again(store: DirectoryStore) -> None:
    assert not store.holds("bad", b"better")
    assert not store.replace("bad", b"better", "text/plain", "any etag"), "it is not what anybody has read"
    store.put("bad", b"better", "text/plain")
    assert store.get("bad") == b"better"
