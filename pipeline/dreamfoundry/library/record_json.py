"""Records as JSON files with a version: written canonically, read strictly.

The annotations of a dataclass are the schema. Reading refuses what they do not allow (a missing
or an unknown key, another type, another version), so an old file is never half understood. One that
cannot be read costs what it says and nothing else: `read_all` tells of it, and goes on.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing, OtherVersion
from dreamfoundry.identity import canonical_json
from dreamfoundry.object_store.protocol import ObjectStore, at_once
from dreamfoundry.serialization import Reader, read_record, stored_fields, to_plain

T = TypeVar("T")

Unreadable = ObjectCorrupt | ObjectMissing

OnUnreadable = Callable[[str, Unreadable], None]
"""Told of an object that cannot be read: its key, and an error that names key and reason. It may be called from
several threads; what it raises ends the work."""

_READER = Reader(read_record, ObjectCorrupt)


def refuse(key: str, error: Unreadable) -> None:
    """An `OnUnreadable` for whoever cannot do without any object."""
    raise error


def read(store: ObjectStore, key: str, parse: Callable[[bytes], T]) -> T:
    """The record that `parse` finds in the bytes of `key`; ObjectMissing, ObjectCorrupt with the key in it."""
    data = store.get(key)
    try:
        return parse(data)
    except ObjectCorrupt as error:
        raise type(error)(f"{key}: {error}") from None


def read_all(
    store: ObjectStore, keys: Iterable[str], parse: Callable[[bytes], T], on_unreadable: OnUnreadable
) -> Iterator[tuple[str, T]]:
    """(key, record) of all that can be read, in the order of `keys`; many are read at a time."""

    def try_to_read(key: str) -> tuple[str, T | Unreadable]:
        try:
            return key, read(store, key, parse)
        except (ObjectCorrupt, ObjectMissing) as error:
            return key, error

    for key, found in at_once(try_to_read, keys):
        if isinstance(found, Unreadable):
            on_unreadable(key, found)
        else:
            yield key, found


def to_json(record: Any, schema: str) -> bytes:
    """The dataclass `record` as canonical JSON with `schema` ("outcome.v1") in it.

    Numbers must be finite: ValueError names the first one that is not.
    """
    values = to_plain(record)
    for name, value in values.items():
        _require_finite(value, name)
    return canonical_json({"schema": schema, **values})


def from_json(cls: type[T], schema: str, data: bytes) -> T:
    """The record that `to_json` wrote; ObjectCorrupt says where `data` differs from the schema."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ObjectCorrupt(f"{schema}: not valid JSON: {error}") from None
    if not isinstance(values, dict) or "schema" not in values:
        raise ObjectCorrupt(f"{schema}: the file says no schema")
    if values["schema"] != schema:
        raise OtherVersion(f"{schema}: the file says schema {values['schema']!r}; another version must read it")
    if b"\\ud" in data:  # an escape of a half that stands alone, or of a whole pair
        _require_text(schema, values)
    del values["schema"]
    record: T = _READER.read(cls, values, schema)
    return record


def json_schema(cls: type, schema: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what `to_json` writes for `cls`."""
    described = _describe(cls)
    described["properties"] = {"schema": {"const": schema}, **described["properties"]}
    described["required"] = ["schema", *described["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{schema}: {cls.__name__}",
        **described,
    }


def _describe(kind: Any) -> dict[str, Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is object:
        return {}
    if origin is types.UnionType:
        return {"anyOf": [{"type": "null"} if item is type(None) else _describe(item) for item in inner]}
    if dataclasses.is_dataclass(kind):
        properties = {name: _describe(field.kind) for name, field in stored_fields(cast(type, kind)).items()}
        return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is tuple:
        return {"type": "array", "items": _describe(inner[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _describe(inner[1])}
    return {"type": {str: "string", int: "integer", float: "number", bool: "boolean"}[kind]}


def _require_text(schema: str, values: object) -> None:
    """ObjectCorrupt where a text is none that can be written."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ObjectCorrupt(f"{schema}: not valid Unicode: {error.reason}") from None


def _require_finite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} = {value!r}: must be finite; leave out what could not be measured")
    if isinstance(value, Mapping):
        for name, item in value.items():
            _require_finite(item, f"{where}.{name}")
