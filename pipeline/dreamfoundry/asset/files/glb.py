"""The container of a GLB: a header, a chunk of JSON, a chunk of binary data (glTF 2.0 chapter 4)."""

from __future__ import annotations

import json
import struct
from typing import Any


def split_glb(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON document and the binary chunk. Raises ValueError for anything else."""
    try:
        magic, version, length = struct.unpack_from("<4sII", data)
        if magic != b"glTF" or version != 2 or length != len(data):
            raise ValueError(f"not a GLB 2.0 of {len(data)} bytes: magic {magic!r}, version {version}, length {length}")
        json_length, json_kind = struct.unpack_from("<I4s", data, 12)
        binary_length, binary_kind = struct.unpack_from("<I4s", data, 20 + json_length)
    except struct.error as error:
        raise ValueError(f"not a GLB 2.0 of {len(data)} bytes: {error}") from error
    if json_kind != b"JSON" or binary_kind != b"BIN\0":
        raise ValueError(f"chunks are {json_kind!r} and {binary_kind!r}; must be JSON and BIN")
    binary = data[28 + json_length : 28 + json_length + binary_length]
    return json.loads(data[20 : 20 + json_length]), binary


def join_glb(text: bytes, binary: bytes) -> bytes:
    """A GLB of a JSON document, here padded with spaces, and binary data that is padded already."""
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        (
            struct.pack("<4sII", b"glTF", 2, length),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(binary), b"BIN\0"),
            binary,
        )
    )
