"""JSON objects in a cell of a manifest: nothing in them is dropped, and their texts are checked too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NoReturn

from dreamfoundry.manifest.text import character_fault

_MAX_DEPTH = 16
_MAX_DIGITS = 40


def json_object(text: str) -> dict[str, object]:
    """The object that `text` is; ValueError with the rule that it breaks."""
    try:
        value = json.loads(
            text, object_pairs_hook=_without_repeated_keys, parse_constant=_refuse_constant, parse_int=_whole_number
        )
    except RecursionError:
        raise ValueError(f"must be a JSON object (at most {_MAX_DEPTH} levels deep)") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"must be a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")

    for inner in _texts(value, 0):
        fault = character_fault(inner)
        if fault:
            raise ValueError(fault)
    return value


def _texts(value: object, depth: int) -> Iterator[str]:
    """Every text in `value`, keys included."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"must be a JSON object (at most {_MAX_DEPTH} levels deep)")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _texts(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, depth + 1)


def _without_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"must not have the key {twice!r} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"must be a JSON object ({name} is no number of JSON)")


def _whole_number(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"must not have a number of {len(digits)} digits")
    return int(digits)
