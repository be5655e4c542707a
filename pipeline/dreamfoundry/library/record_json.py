"""Records as JSON files with a version: written canonically, read strictly.

The annotations of a dataclass are the schema. Reading refuses what they do not allow (a missing
or an unknown key, another type, another version), so an old file is never half understood.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from dreamfoundry.errors import ObjectCorrupt
from dreamfoundry.identity import canonical_json

T = TypeVar("T")


def to_json(record: Any, schema: str) -> bytes:
    """The dataclass `record` as canonical JSON with `schema` ("outcome.v1") in it.

    Numbers must be finite: ValueError names the first one that is not.
    """
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
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
        found = values.get("schema") if isinstance(values, dict) else type(values).__name__
        raise ObjectCorrupt(f"{schema}: the file says schema {found!r}; another version must read it")
    del values["schema"]
    record: T = _parse(cls, values, schema)
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


def _parse(kind: Any, value: Any, where: str) -> Any:
    """`value` from JSON as the annotated type `kind`."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is object:
        return value
    if origin is types.UnionType:
        if value is None and type(None) in inner:
            return None
        return _parse(next(item for item in inner if item is not type(None)), value, where)
    if dataclasses.is_dataclass(kind):
        return _parse_record(kind, value, where)
    if origin is Literal:
        return _checked(value in inner, value, where, f"one of {', '.join(map(repr, inner))}")
    if origin is tuple:
        _checked(isinstance(value, list), value, where, "a list")
        return tuple(_parse(inner[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is Mapping:
        _checked(isinstance(value, dict), value, where, "an object")
        return {name: _parse(inner[1], item, f"{where}.{name}") for name, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    return _checked(fits, value, where, f"of type {kind.__name__}")


def _parse_record(cls: Any, value: Any, where: str) -> Any:
    _checked(isinstance(value, dict), value, where, "an object")
    hints = _kinds(cls)
    missing, unknown = hints.keys() - value.keys(), value.keys() - hints.keys()
    _checked(not missing and not unknown, sorted(value), where, f"an object with exactly {', '.join(hints)}")
    parsed = {name: _parse(kind, value[name], f"{where}.{name}") for name, kind in hints.items()}
    record = cls(**{f.name: parsed[f.name] for f in dataclasses.fields(cls) if f.init})
    for name in parsed:  # fields that the record derives by itself must say the same
        derived = getattr(record, name)
        _checked(derived == parsed[name], parsed[name], f"{where}.{name}", f"{derived!r}, which follows from the rest")
    return record


@functools.cache  # or a library of thousands is read five times slower
def _kinds(cls: type) -> dict[str, Any]:
    """The annotated types of a dataclass by field."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _checked(fits: bool, value: Any, where: str, rule: str) -> Any:
    if not fits:
        raise ObjectCorrupt(f"{where} = {value!r}: must be {rule}")
    return value


def _describe(kind: Any) -> dict[str, Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is object:
        return {}
    if origin is types.UnionType:
        return {"anyOf": [{"type": "null"} if item is type(None) else _describe(item) for item in inner]}
    if dataclasses.is_dataclass(kind):
        properties = {name: _describe(field_kind) for name, field_kind in _kinds(cast(type, kind)).items()}
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
