"""JSON Lines, one object a line, and JSON that is an array of objects; the keys are columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from dreamfoundry.manifest.sources.columns import column_of, meant, unread
from dreamfoundry.manifest.sources.json_shapes import goes_on, sequence_fault, table_fault
from dreamfoundry.manifest.sources.prompt_ids import words_id
from dreamfoundry.manifest.sources.reading import Reading, Values, shown
from dreamfoundry.manifest.sources.values import from_json, whole_number
from dreamfoundry.manifest.text import stripped

_EXAMPLE = '{"prompt": "a red mushroom"}'
_ARRAY_RULE = f"must be an array of objects like [{_EXAMPLE}]; write mere texts into a .txt, one a line"
_BLANK = re.compile(r"\s*")


def read_jsonl(text: str, reading: Reading) -> None:
    """Take every line as an object; a line that is none costs that line only."""
    if text.lstrip().startswith("["):
        reading.refuse("is an array, not one object a line: name it .json, or say --from json")
        return
    if told := table_fault(text):
        reading.refuse(told)
        return

    unread_keys: dict[str, None] = {}
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if stripped(line):
            try:
                value = _DECODER.decode(line)
            except (ValueError, RecursionError) as error:
                # one fault for a program's habit, not one for each of its lines
                if not reading.faults and goes_on(lines[number - 1 :]):
                    remedy = "write one object a line (jq -c .), or an array of them and --from json"
                    reading.refuse(f"an object begins here and goes on over several lines: {remedy}", number)
                    return
                reading.refuse(_reason(error), number)
            else:
                _take(value, number, reading, unread_keys)
    if told := unread(unread_keys):
        reading.warn(told)


def read_json(text: str, reading: Reading) -> None:
    """Take every object of an array; JSON Lines under the name .json are read as such."""
    at = _after_blank(text, 0)
    first_line = text[at:].partition("\n")[0]
    if not text.startswith("[", at):
        if _is_mapping(first_line):
            read_jsonl(text, reading)
        elif text.startswith("{", at):
            shape = table_fault(text) or sequence_fault(text)
            reading.refuse(shape or f"is one object{_keys(text)}: {_ARRAY_RULE}")
        else:
            reading.refuse(_ARRAY_RULE)
        return

    reading.unit = "object"  # a program writes the whole array into one line
    unread_keys: dict[str, None] = {}
    try:
        for number, value in enumerate(_elements(text, at), 1):
            _take(value, number, reading, unread_keys)
    except (ValueError, RecursionError) as error:
        reading.refuse(f"{_reason(error)}; nothing is read from there on")
    if told := unread(unread_keys):
        reading.warn(told)


def _elements(text: str, at: int) -> Iterator[Any]:
    """The elements of the array that begins at `at`, one by one; JSONDecodeError where it is broken."""
    at = _after_blank(text, at + 1)
    is_first = True
    while not (is_first and text.startswith("]", at)):
        value, at = _DECODER.raw_decode(text, at)
        yield value
        at, is_first = _after_blank(text, at), False
        if text.startswith("]", at):
            break
        if not text.startswith(",", at):
            raise json.JSONDecodeError("after an object must come a comma or the end of the array", text, at)
        at = _after_blank(text, at + 1)
    if (at := _after_blank(text, at + 1)) < len(text):
        raise json.JSONDecodeError("something stands after the end of the array", text, at)


class _DuplicateKey(ValueError):
    """JSON allows a key twice, and everybody reads another one of the two."""


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise _DuplicateKey(f"key {shown(key)} stands in one object twice: remove one")
        values[key] = value
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=_no_key_twice, parse_int=whole_number)


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deep"
    if isinstance(error, json.JSONDecodeError):
        place = f"line {error.lineno}, column {error.colno}" if "\n" in error.doc else f"column {error.colno}"
        return f"not valid JSON: {error.msg} ({place})"
    return str(error) if isinstance(error, _DuplicateKey) else f"not valid JSON: {error}"


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _is_mapping(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_int=str), dict)
    except (ValueError, RecursionError):
        return False


def _keys(text: str) -> str:
    """The keys of the one object in `text`, for a message."""
    try:
        keys = list(json.loads(text, parse_int=str))
    except (ValueError, RecursionError):
        return ""
    return f" with the keys {', '.join(shown(key) for key in keys[:5])}{' …' if len(keys) > 5 else ''}"


def _take(value: Any, number: int, reading: Reading, unread_keys: dict[str, None]) -> None:
    """Add the row of an object, or all of its faults."""
    if not isinstance(value, dict):
        remedy = "; write mere texts into a .txt, one a line" if isinstance(value, str) else ""
        reading.refuse(f"{shown(value)}: must be an object like {_EXAMPLE}{remedy}", number)
        return
    given: dict[str, Any] = {}
    written: dict[str, str] = {}
    faults: list[str] = []
    for key, item in value.items():
        column = column_of(key)
        if column is None:
            unread_keys[key] = None
        elif column in given:
            names = f"{shown(written[column])} and {shown(key)}"
            faults.append(f"column {column!r} stands in one object twice, as {names}: remove one")
        else:
            given[column], written[column] = item, key

    values: Values = {}
    for column, item in given.items():
        try:
            if item is not None:
                values[column] = from_json(column, item)
        except ValueError as error:
            faults.append(f"{column} = {shown(item)}: {error}")
    if fault := _prompt_fault(value, given):
        faults.append(fault)

    prompt_id = values.get("prompt_id") or (values.get("prompt") and words_id(values["prompt"])) or ""
    for fault in faults:
        reading.refuse(fault, number, prompt_id)
    if faults:
        reading.refuse_rest(number, values, prompt_id)
    else:
        reading.add(number, values)


def _prompt_fault(row: dict[str, Any], given: dict[str, Any]) -> str:
    """The rule that an object without a prompt breaks, with the key that may be misspelt; "" if it has one."""
    prompt = given.get("prompt", 0)
    if prompt is None or prompt == "":
        return f"prompt is {'null' if prompt is None else 'empty'}: say what to make, or remove the object"
    if "prompt" in given:
        return ""
    others = (key for key in islice(row, 100) if column_of(key) is None)
    hint = next((f"{shown(key)}{meant(key)}" for key in others if "'prompt'" in meant(key)), "")
    return f"has no prompt: must be like {_EXAMPLE}{'; it has ' + hint if hint else ''}"
