"""The blobs that outcomes and field records name. They lie in a temporary file: a library has millions of them."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from dreamfoundry.library.library import field_record_key, outcome_key
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.records import BlobRef, Outcome


class NamedBlob(NamedTuple):
    """A blob as a record says it must be, and the key of that record.

    `is_needed` is False if nothing but outcomes names it as their snapshot: the assets are whole without it.
    """

    ref: BlobRef
    namer: str
    is_needed: bool


class NamedBlobs:
    """Each blob once, however many records name it. Use as a context manager. Not for several threads."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("")  # a file without a name, gone with the connection
        self._table.execute(
            "CREATE TABLE named (sha256 TEXT, num_bytes INT, is_needed INT, namer TEXT, "
            "PRIMARY KEY (sha256, num_bytes)) WITHOUT ROWID"
        )

    def __enter__(self) -> NamedBlobs:
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def add_outcome(self, outcome: Outcome) -> None:
        """Take the files of an outcome, and its snapshot."""
        key = outcome_key(outcome.asset_key)
        self._add([*outcome.files.values()], key, is_needed=True)
        self._add([outcome.snapshot] if outcome.snapshot else [], key, is_needed=False)

    def add_field(self, field_key: str, snapshot: BlobRef) -> None:
        """Take the snapshot of a field record."""
        self._add([snapshot], field_record_key(field_key), is_needed=True)

    def _add(self, refs: list[BlobRef], namer: str, *, is_needed: bool) -> None:
        self._table.executemany(
            "INSERT INTO named VALUES (?, ?, ?, ?) ON CONFLICT (sha256, num_bytes) DO UPDATE "
            "SET is_needed = 1, namer = excluded.namer WHERE excluded.is_needed > is_needed",
            ((ref.sha256, ref.num_bytes, is_needed, namer) for ref in refs),
        )

    def count(self) -> tuple[int, int]:
        """Their number, and their bytes."""
        number, num_bytes = self._table.execute("SELECT count(*), coalesce(sum(num_bytes), 0) FROM named").fetchone()
        return int(number), int(num_bytes)

    def __iter__(self) -> Iterator[NamedBlob]:
        """All, by their digests; the namer is one that needs the blob, if there is one."""
        rows = self._table.execute("SELECT sha256, num_bytes, namer, is_needed FROM named ORDER BY sha256, num_bytes")
        for sha256, num_bytes, namer, is_needed in rows:
            yield NamedBlob(BlobRef(sha256, num_bytes, ""), namer, bool(is_needed))


@dataclass(frozen=True)
class FoundDigest:
    """The bytes of an object, as far as they have to be known."""

    sha256: str
    num_bytes: int


def digest_of(store: ObjectStore, key: str) -> FoundDigest:
    """Read an object of any size; ObjectMissing, ObjectCorrupt."""
    file = _DigestFile()
    store.get_file(key, file)
    return FoundDigest(file.sha256.hexdigest(), file.num_bytes)


class _DigestFile(io.BufferedIOBase):
    """A file to be written that keeps the number of its bytes and their SHA-256, and none of them."""

    def __init__(self) -> None:
        self.truncate()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Only ever to the beginning, before it is truncated."""
        return 0

    def truncate(self, size: int | None = None, /) -> int:
        self.sha256, self.num_bytes = hashlib.sha256(), 0
        return 0

    def write(self, data: Any, /) -> int:
        self.sha256.update(data)
        self.num_bytes += len(data)
        return len(data)
