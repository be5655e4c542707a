"""The store protocol: what the pipeline needs of a place that keeps bytes.

It is the part of S3 that everything here is built on, small enough for a directory: an object
appears whole or not at all, `create` has exactly one winner, `replace` compares and swaps. A write
returns only when the store has shown that it holds exactly the bytes that were meant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BufferedIOBase
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

A = TypeVar("A")
B = TypeVar("B")

JSON = "application/json"

CHUNK_BYTES = 2**18
"""What is held of a file while it is copied or compared."""

_REQUESTS_AT_ONCE = 16


@dataclass(frozen=True)
class ObjectStat:
    """Facts about an object that need no reading; `modified_s` is by the store's clock."""

    key: str
    num_bytes: int
    modified_s: float


@dataclass(frozen=True)
class Unfinished:
    """Something that an interrupted write left behind, and that no listing shows.

    `name` tells it from others with the same key; `key` is "" where it is not known any more.
    """

    key: str
    name: str
    began_s: float


@runtime_checkable
class ObjectStore(Protocol):
    """Bytes by key. Keys are relative paths with "/" between their parts (see `require_key`).

    Every method may raise StoreUnavailable, whose message says what to do, and ValueError for what
    is no key. An etag is an opaque text that changes whenever the bytes do. A `file` is for what may
    be too big for memory: it is read, or written, from its beginning wherever it stands.
    """

    @property
    def url(self) -> str:
        """Opens the same store in another process: `open_store(url)`."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes of `key`; ObjectMissing, ObjectCorrupt if they are there and cannot be read."""
        ...

    def read(self, key: str) -> tuple[bytes, str]:
        """The bytes of `key` and the etag that belongs to them; ObjectMissing, ObjectCorrupt."""
        ...

    def get_file(self, key: str, file: BufferedIOBase) -> None:
        """Make `file`, open for writing, hold the bytes of `key` and no others; ObjectMissing, ObjectCorrupt."""
        ...

    def stat(self, key: str) -> ObjectStat | None:
        """Size and age of `key`, None where there is no such object."""
        ...

    def exists(self, key: str) -> bool: ...

    def holds(self, key: str, data: bytes) -> bool:
        """True where `key` exists and has exactly the bytes `data`."""
        ...

    def holds_file(self, key: str, file: BufferedIOBase) -> bool:
        """True where `key` exists and has exactly the bytes of `file`."""
        ...

    def create(self, key: str, data: bytes, media_type: str) -> bool:
        """Write `key` unless it exists; of any number of callers exactly one gets True.

        A write that took effect although its answer was lost counts as won: the object is read
        back and its bytes compared. So callers who race must write different bytes.
        """
        ...

    def put(self, key: str, data: bytes, media_type: str) -> None:
        """Write `key`, whatever is there. For content that is the same whoever writes it."""
        ...

    def put_file(self, key: str, file: BufferedIOBase, media_type: str) -> None:
        """`put` of the bytes of `file`, which must not change meanwhile."""
        ...

    def replace(self, key: str, data: bytes, media_type: str, expected_etag: str) -> bool:
        """Write `key` if its etag is still `expected_etag`; False when it changed or vanished."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Make `target` hold the bytes of the immutable object `source`, as new; ObjectMissing."""
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """All keys that start with `prefix`, sorted."""
        ...

    def stats(self, prefix: str = "") -> Iterator[ObjectStat]:
        """`list` with the size and age of each object."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; an absent one is fine."""
        ...

    def unfinished(self) -> Iterator[Unfinished]:
        """Parts of writes that were cut off, or still go on, outside of all listings."""
        ...

    def discard(self, unfinished: Unfinished) -> None:
        """Remove it; one that has ended in the meantime is fine."""
        ...

    def now_s(self) -> float:
        """The store's clock in Unix seconds: the one that every writer shares."""
        ...


def require_key(key: str) -> str:
    """`key`, if it names a place below the root of any store and hides nowhere; ValueError."""
    parts = key.split("/")
    if not all(part and not part.startswith(".") for part in parts):
        raise ValueError(f"key {key!r}: its parts must not be empty or start with a dot")
    if not key.isprintable():
        raise ValueError(f"key {key!r}: must not contain control characters")
    return key


def num_bytes_of(file: BufferedIOBase) -> int:
    return file.seek(0, os.SEEK_END)


def is_made_of(file: BufferedIOBase, chunks: Iterable[bytes]) -> bool:
    """True where `file` has exactly the bytes of `chunks`."""
    file.seek(0)
    return all(file.read(len(chunk)) == chunk for chunk in chunks) and not file.read(1)


def fill(file: BufferedIOBase, chunks: Iterable[bytes]) -> None:
    """Let `file` have exactly the bytes of `chunks`."""
    file.seek(0)
    file.truncate()
    for chunk in chunks:
        file.write(chunk)


def at_once(act: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """`act(item)` for each item, in order, several at a time: for requests, which mostly wait."""
    remaining = iter(items)
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        while batch := list(islice(remaining, _REQUESTS_AT_ONCE)):
            yield from pool.map(act, batch)
