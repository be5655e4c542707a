"""Shapes of JSON that other programs give to a table, each with what would work in its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dreamfoundry.manifest.sources.columns import column_of
from dreamfoundry.manifest.sources.reading import shown

_BY_ROWS = 'to_json("prompts.json", orient="records")'


def table_fault(text: str) -> str:
    """The reason why a text that is one JSON object is no row but a table of another shape; "" if it is none."""
    value = _mapping(text)
    if any(column_of(key) == "prompt" and isinstance(item, str) for key, item in value.items()):
        return ""
    if {"columns", "data"} <= value.keys():
        return f'is a table in pandas\' orient="split": write objects ({_BY_ROWS})'
    if any(column_of(key) == "prompt" and _is_column(item) for key, item in value.items()):
        return f"is a table column by column, not row by row: write objects (pandas: {_BY_ROWS})"

    rows = next((key for key, item in value.items() if _are_rows(item)), None)
    if rows is not None:
        return f"the rows are wrapped under {shown(rows)}: give the array alone"
    if value and all(map(_is_row, value.values())):
        return f"is an object of rows by their names: write an array of objects (pandas: {_BY_ROWS})"
    return ""


def sequence_fault(text: str) -> str:
    """The reason why a text of JSON objects one behind another is no array; "" if it is none."""
    text = text.lstrip()
    try:
        end = json.JSONDecoder(parse_int=str).raw_decode(text)[1]
    except (ValueError, RecursionError):
        return ""
    is_sequence = text.startswith("{") and text[end:].lstrip(" \t\n,").startswith("{")
    return "objects stand one behind another over several lines: make an array of them (jq -s .)" * is_sequence


def goes_on(lines: Sequence[str]) -> bool:
    """True if an object begins on the first of `lines`, which is no JSON by itself, and ends on another."""
    if lines[0].strip() == "{":
        return True
    text = "\n".join(lines).lstrip()
    try:
        return text.startswith("{") and "\n" in text[: json.JSONDecoder(parse_int=str).raw_decode(text)[1]]
    except (ValueError, RecursionError):
        return False


def _mapping(text: str) -> dict[str, Any]:
    """The one object that `text` is as a whole, else none."""
    try:
        value = json.loads(text, parse_int=str) if text.lstrip().startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_column(value: object) -> bool:
    items = list(value.values()) if isinstance(value, dict) else value
    return isinstance(items, list) and bool(items) and all(item is None or isinstance(item, str) for item in items)


def _are_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _is_row(value: object) -> bool:
    return isinstance(value, dict) and any(column_of(key) == "prompt" for key in value)
