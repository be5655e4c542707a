"""Checksums that go with a write, and the etags by which its answer proves that the bytes arrived."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

from dreamfoundry.object_store.protocol import num_bytes_of


def sha256(data: bytes) -> str:
    """SHA-256 as S3 wants it in a header: base64."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def md5(data: bytes) -> str:
    """MD5 in hex: the etag of an object that went in one request and is not encrypted."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def etag_of(answer: Any) -> str:
    """The etag of an answer without its quotes, with which radosgw's If-Match never matches."""
    return str(answer["ETag"]).strip('"')


def num_parts(file: io.BufferedIOBase, part_bytes: int) -> int:
    return -(-num_bytes_of(file) // part_bytes)


def expected_etags(file: io.BufferedIOBase, part_bytes: int) -> tuple[str, str]:
    """Etags of these bytes after one request, and after an upload in parts of `part_bytes`."""
    whole = hashlib.md5(usedforsecurity=False)

    def next_digest() -> bytes:
        part = file.read(part_bytes)
        whole.update(part)
        return hashlib.md5(part, usedforsecurity=False).digest()

    count = num_parts(file, part_bytes)
    file.seek(0)
    digests = [next_digest() for _ in range(count)]
    return whole.hexdigest(), f"{md5(b''.join(digests))}-{count}"
