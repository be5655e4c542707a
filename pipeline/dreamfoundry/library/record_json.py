"""Records as JSON files with a version: written canonically, read strictly.

The annotations of a dataclass are the schema. Reading refuses what they do not allow (a missing
or an unknown key, another type, another version), so an old file is never half understood.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from dreamfoundry.errors import ObjectCorrupt
from dreamfoundry.identity import canonical_json
from dreamfoundry.serialization import Reader, read_record, stored_fields, to_plain

T = TypeVar("T")

_READER = Reader(read_record, ObjectCorrupt)


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
    except ValueError as error:
        raise ObjectCorrupt(f"{schema}: not valid JSON: {error}") from None
    if not isinstance(values, dict) or values.get("schema") != schema:
        stored = values.get("schema") if isinstance(values, dict) else type(values).__name__
        raise ObjectCorrupt(f"{schema}: the file says schema {stored!r}; another version must read it")
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


def _require_finite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} = {value!r}: must be finite; leave out what could not be measured")
    if isinstance(value, Mapping):
        for name, item in value.items():
            _require_finite(item, f"{where}.{name}")
