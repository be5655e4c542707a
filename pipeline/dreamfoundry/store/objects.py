"""The store protocol: what the pipeline needs of a place that keeps bytes.

It is the part of S3 that everything here is built on, small enough for a directory: an object
appears whole or not at all, `create` has exactly one winner, `replace` compares and swaps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

JSON = "application/json"


@runtime_checkable
class ObjectStore(Protocol):
    """Bytes by key. Keys are relative paths with "/" between the parts and no empty part.

    Every method may raise StoreUnavailable, whose message says what to do. An etag is an opaque
    text that changes whenever the bytes do.
    """

    @property
    def url(self) -> str:
        """Opens the same store in another process: `open_store(url)`."""
        ...

    def get(self, key: str) -> bytes:
        """The bytes of `key`; ObjectMissing."""
        ...

    def read(self, key: str) -> tuple[bytes, str]:
        """The bytes of `key` and the etag that belongs to them; ObjectMissing."""
        ...

    def etag(self, key: str) -> str | None:
        """The etag of `key`, None where there is no such object."""
        ...

    def exists(self, key: str) -> bool: ...

    def create(self, key: str, data: bytes, media_type: str) -> bool:
        """Write `key` unless it exists; of any number of callers exactly one gets True.

        A write that took effect although its answer was lost counts as won: the object is read
        back and its bytes compared. So callers who race must write different bytes.
        """
        ...

    def put(self, key: str, data: bytes, media_type: str) -> None:
        """Write `key`, whatever is there. For content that is the same whoever writes it."""
        ...

    def replace(self, key: str, data: bytes, media_type: str, expected_etag: str) -> bool:
        """Write `key` if its etag is still `expected_etag`; False when it changed or vanished."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Make `target` hold the bytes of the immutable object `source`; ObjectMissing."""
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """All keys that start with `prefix`, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; an absent one is fine."""
        ...

    def now_s(self) -> float:
        """The store's clock in Unix seconds: the one that every writer shares."""
        ...
