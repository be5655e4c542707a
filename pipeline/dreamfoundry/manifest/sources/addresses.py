"""From the address of a source to its bytes: a path, s3://bucket/key, or - for standard input."""

from __future__ import annotations

import io
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from dreamfoundry.errors import ManifestError, ObjectMissing, StoreUnavailable
from dreamfoundry.object_store.open import at_address, open_store

STANDARD_INPUT = "-"
S3 = "s3://"

MAX_SOURCE_BYTES = 2**28
"""A longer source is refused: write it as several, or as Parquet."""


def read_address(address: str) -> bytes:
    """All bytes of the source at `address`; ManifestError says what an address may be."""
    try:
        data = _bytes_at(address)
    except FileNotFoundError:
        raise ManifestError(f"{address}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path that no system can have
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ManifestError(f"{address}: cannot be read: {reason}") from None

    if len(data) > MAX_SOURCE_BYTES:
        raise ManifestError(
            f"{address}: a source may have {MAX_SOURCE_BYTES // 2**20} MiB: "
            "make several manifests of it, or write it as Parquet yourself"
        )
    return data


def split_s3(url: str) -> tuple[str, str]:
    """(URL of the folder, name) of the object at `url`; ManifestError where it names none."""
    bucket, _, key = url.removeprefix(S3).partition("/")
    folder, _, name = key.rpartition("/")
    if not bucket or not name:
        raise ManifestError(f"{url}: must name an object, as in s3://bucket/folder/name")
    return f"{S3}{bucket}/{folder}".rstrip("/"), name


def _bytes_at(address: str) -> bytes:
    if address == STANDARD_INPUT:
        if sys.stdin is None:
            raise ManifestError("standard input: is closed")
        return _bounded(sys.stdin.buffer)
    if address.startswith(S3):
        return _bytes_on_s3(address)
    if "://" in address:
        raise ManifestError(f"{address}: must be a path, s3://bucket/key, or - for standard input")
    if not address.strip():
        raise ManifestError(f"{address!r}: must be a path, s3://bucket/key, or -; is it a variable that is not set?")

    # a device may have no end, and a folder no content
    mode = Path(address).stat().st_mode
    if stat.S_ISDIR(mode):
        raise ManifestError(f"{address}: is a folder: name the files in it")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise ManifestError(f"{address}: must be a file or a pipe, not a device")
    with Path(address).open("rb") as file:
        return _bounded(file)


def _bounded(file: BinaryIO) -> bytes:
    """All bytes, or one more than a source may have."""
    return file.read(MAX_SOURCE_BYTES + 1)


def _bytes_on_s3(url: str) -> bytes:
    folder, name = split_s3(url)
    file = io.BytesIO()
    try:
        open_store(folder).get_file(name, file)
    except ObjectMissing:
        raise ManifestError(f"{url}: no such object") from None
    except StoreUnavailable as error:
        raise at_address(url, error) from None
    return file.getvalue()
