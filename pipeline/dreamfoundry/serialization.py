"""Dataclasses as plain values (tables, lists, numbers, text) under their stored names, and back.

Recipes (TOML, overrides) and records (JSON) share this reader. The annotations of a class are its schema. A class
with Python names that differ from the stored ones lists them in STORED_NAMES, {Python name: stored name}; files, keys
and messages use the stored names, so a field can be renamed in Python without a change on disk.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints


class StoredField(NamedTuple):
    """One field of a dataclass: its Python name, its annotated type, and how it gets its value."""

    name: str
    kind: Any
    is_derived: bool
    is_required: bool


@functools.cache  # without it a library of thousands of outcomes takes five times as long to read
def stored_fields(cls: type) -> Mapping[str, StoredField]:
    """The fields of a dataclass by stored name, in their order."""
    hints, stored_names = get_type_hints(cls), getattr(cls, "STORED_NAMES", {})
    return {
        stored_names.get(f.name, f.name): StoredField(
            f.name,
            hints[f.name],
            is_derived=not f.init,
            is_required=f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
        )
        for f in dataclasses.fields(cls)
    }


def to_plain(value: Any) -> Any:
    """`value` with dataclasses as dicts by stored name and sequences as lists, all the way down."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = stored_fields(type(value))
        return {stored: to_plain(getattr(value, field.name)) for stored, field in fields.items()}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


class Reader(NamedTuple):
    """Converts plain values to annotated types, strictly: an int may become a float, nothing else changes its type.

    `read_table(reader, cls, value, where)` builds a dataclass. A value that does not fit raises `error` with the
    message "where = value: must be ...".
    """

    read_table: Callable[[Reader, Any, Any, str], Any]
    error: type[Exception]

    def read(self, kind: Any, value: Any, where: str) -> Any:
        """`value` as the annotated type `kind`; `where` names its place in messages."""
        origin, inner = get_origin(kind), get_args(kind)
        if kind is object:
            return value
        if origin is types.UnionType:
            return self._read_optional(inner, value, where)
        if dataclasses.is_dataclass(kind):
            return self.read_table(self, kind, value, where)
        if origin is Literal:
            return self.checked(value in inner, value, where, f"one of {', '.join(map(repr, inner))}")
        if origin is tuple:
            return self._read_tuple(inner, value, where)
        if origin is Mapping:
            self.checked(isinstance(value, Mapping), value, where, "an object")
            return {name: self.read(inner[1], item, f"{where}.{name}") for name, item in value.items()}
        return self._read_scalar(kind, value, where)

    def checked(self, fits: bool, value: Any, where: str, rule: str) -> Any:
        """`value` where it fits; else `error` with its place, the value and the rule."""
        if not fits:
            raise self.error(f"{where} = {value!r}: must be {rule}")
        return value

    def _read_optional(self, inner: tuple[Any, ...], value: Any, where: str) -> Any:
        if value is None and type(None) in inner:
            return None
        return self.read(next(kind for kind in inner if kind is not type(None)), value, where)

    def _read_tuple(self, inner: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
        self.checked(isinstance(value, (list, tuple)), value, where, "a list")
        if inner[-1] is Ellipsis:
            inner = (inner[0],) * len(value)
        if len(value) != len(inner):
            raise self.error(f"{where} = {value!r}: must have {len(inner)} items")
        items = enumerate(zip(inner, value, strict=True))
        return tuple(self.read(kind, item, f"{where}[{index}]") for index, (kind, item) in items)

    def _read_scalar(self, kind: Any, value: Any, where: str) -> Any:
        if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:  # an integer of hundreds of digits
                number = math.inf
            return self.checked(math.isfinite(number), number, where, "a finite number")
        fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        return self.checked(fits, value, where, f"of type {kind.__name__}")


def read_record(reader: Reader, cls: type, value: Any, where: str) -> Any:
    """A dataclass from a table with exactly its stored keys: the `read_table` of records."""
    reader.checked(isinstance(value, dict), value, where, "an object")
    fields = stored_fields(cls)
    reader.checked(fields.keys() == value.keys(), sorted(value), where, f"an object with exactly {', '.join(fields)}")

    parsed = {name: reader.read(field.kind, value[name], f"{where}.{name}") for name, field in fields.items()}
    record = cls(**{field.name: parsed[name] for name, field in fields.items() if not field.is_derived})

    # a derived field that contradicts the others would be lost silently
    for name, field in fields.items():
        derived = getattr(record, field.name)
        rule = f"{derived!r}, which follows from the rest"
        reader.checked(derived == parsed[name], parsed[name], f"{where}.{name}", rule)
    return record
