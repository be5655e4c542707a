"""Counts in the footer of a Parquet file, read from its bytes.

pyarrow ends the process when it is asked about a column chunk that is encrypted or whose entry is damaged. A manifest
comes from anybody, so its footer is read here first: a struct of Thrift's compact protocol, as Parquet defines it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MAGIC_BYTES = 4
_MAX_DEPTH = 32
_FIXED_BYTES = 7  # among the types that are stored
_DELTA_ENCODINGS = frozenset({6, 7})  # DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY


@dataclass(frozen=True)
class Chunk:
    """A column in a row group. `num_bytes` is its size before compression; an encrypted one may tell nothing.

    `has_deltas` where texts are stored as lengths or differences.
    """

    num_values: int
    num_bytes: int
    is_encrypted: bool
    has_deltas: bool


@dataclass(frozen=True)
class RowGroup:
    """A row group: `chunks` are in the order of the schema's leaves, `num_bytes` is before compression."""

    num_rows: int
    num_bytes: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class SchemaColumn:
    """A column of the table. `has_plain_bytes`: a fixed number of them without a type, as in integers of 128 bits."""

    name: str
    has_plain_bytes: bool


@dataclass(frozen=True)
class Footer:
    """Rows in all, and by row group; the columns, one after another."""

    num_rows: int
    groups: tuple[RowGroup, ...]
    columns: tuple[SchemaColumn, ...] = ()


def read_footer(file: io.BufferedIOBase) -> Footer:
    """The counts of a file that ends with a Parquet footer; ValueError for one that is damaged."""
    end = file.seek(0, os.SEEK_END) - 2 * _MAGIC_BYTES
    file.seek(max(end, 0))
    length = int.from_bytes(file.read(_MAGIC_BYTES), "little")
    if length > end:
        raise ValueError("the footer is longer than the file")
    file.seek(end - length)

    try:
        fields = _Reader(file.read(length)).struct()
        return Footer(int(fields[3]), tuple(map(_group, fields[4])), tuple(_columns(fields[2])))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"the footer is damaged ({type(error).__name__})") from None


def _columns(elements: list[dict[int, Any]]) -> Iterator[SchemaColumn]:
    """The columns below the root of a schema, whose elements follow each other in the order of its tree."""
    num_open, name, has_plain_bytes = 0, "", False
    for element in elements[1:]:
        if num_open == 0:
            name, has_plain_bytes, num_open = element[4].decode("utf-8", "replace"), False, 1
        has_plain_bytes |= element.get(1) == _FIXED_BYTES and not {6, 10} & set(element)
        num_open += element.get(5, 0) - 1
        if num_open == 0:
            yield SchemaColumn(name, has_plain_bytes)


def _group(fields: dict[int, Any]) -> RowGroup:
    return RowGroup(int(fields[3]), int(fields[2]), tuple(map(_chunk, fields[1])))


def _chunk(fields: dict[int, Any]) -> Chunk:
    is_encrypted = 8 in fields or 9 in fields
    measures = fields.get(3, {}) if is_encrypted else fields[3]
    has_deltas = not _DELTA_ENCODINGS.isdisjoint(measures.get(2, ()))
    return Chunk(int(measures.get(5, 0)), int(measures.get(6, 0)), is_encrypted, has_deltas)


class _Reader:
    """Values of the compact protocol, one after another; a struct becomes a dict by field number."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _MAX_DEPTH:
            raise ValueError("the footer is damaged (too deep)")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 8:
            return self._take(self._varint())
        if kind in (9, 10):
            return self._list(depth)
        if kind == 12:
            return self.struct(depth + 1)
        if kind in (1, 2, 3):
            return self._byte()
        if kind == 7:
            return self._take(8)
        raise ValueError(f"the footer is damaged (type {kind})")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        length = head >> 4 if head >> 4 < 15 else self._varint()
        if length > len(self._data) - self._place:
            raise ValueError("the footer is damaged (a list is too long)")
        return [self._value(head & 15, depth + 1) for _ in range(length)]

    def _integer(self) -> int:
        coded = self._varint()
        return (coded >> 1) ^ -(coded & 1)

    def _varint(self) -> int:
        byte = self._byte()
        number, shift = byte & 127, 7
        while byte & 128:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if shift > 70:
                raise ValueError("the footer is damaged (a number is too long)")
        return number

    def _byte(self) -> int:
        byte = self._data[self._place]
        self._place += 1
        return byte

    def _take(self, length: int) -> bytes:
        taken = self._data[self._place : self._place + length]
        if len(taken) < length:
            raise ValueError("the footer is damaged (it ends early)")
        self._place += length
        return taken
