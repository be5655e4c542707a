"""Cells and JSON values become values of the manifest as they are, or ValueError names the rule.

Nothing is converted with a loss: 7.0 is 7, since pandas writes whole numbers so beside gaps; 7.5 is refused.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from dreamfoundry.manifest.row import MAX_SEED, PROMPT_ABSENT
from dreamfoundry.manifest.text import ABSENT, is_absent, stripped

_RANGES = {"seed": (0, MAX_SEED), "priority": (1 - 2**31, 2**31 - 1)}
_MAPPINGS = ("recipe_overrides", "view_prompts")
MAX_DIGITS = 200
"""Of a whole number in JSON; ids may have 128."""

_EXACT_FLOAT = 2.0**53
"""From here on a float no longer tells neighbouring whole numbers apart."""


@dataclass(frozen=True)
class LongNumber:
    """A whole number of JSON that is too long for any column: Python itself refuses the longest."""

    digits: str

    def __repr__(self) -> str:
        return f"{self.digits[:8]}... ({len(self.digits)} digits)"


def whole_number(digits: str) -> int | LongNumber:
    """The number that `digits` are in JSON, however many."""
    return int(digits) if len(digits) <= MAX_DIGITS else LongNumber(digits)


def from_cell(column: str, cell: str) -> Any:
    """The value of a cell that is not empty; tags are separated by ";", "|" or ","."""
    if is_absent(cell):
        raise ValueError(PROMPT_ABSENT if column == "prompt" else f"{ABSENT}: leave the cell empty")
    if column in _RANGES:
        return _within(column, _int_of_cell(cell))
    if column == "target_height_m":
        return _float_of_cell(cell)
    if column == "tags":
        return _tags_of_cell(cell)
    return cell


def from_json(column: str, value: Any) -> Any:
    """The value of a JSON value that is not null."""
    if (isinstance(value, str) and is_absent(value)) or (isinstance(value, float) and math.isnan(value)):
        raise ValueError(PROMPT_ABSENT if column == "prompt" else f"{ABSENT}: write null, or leave the key out")
    if column in _RANGES:
        return _within(column, _int_of_json(value))
    if column == "target_height_m":
        return _float_of_json(value)
    if column == "tags":
        return _tags_of_json(value)
    if column in _MAPPINGS:
        return _text(value if isinstance(value, str) else _mapping(value))
    if column == "prompt_id":
        return _id_of_json(value)
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")
    return _text(value)


def _int_of_cell(cell: str) -> int:
    text = cell.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,30}(\.0)?", text):
        return int(text.removesuffix(".0"))
    if re.fullmatch(r"[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+", text):
        raise ValueError("must be a whole number in full: a program has rounded this one")
    raise ValueError("must be a whole number, in digits without separators")


def _float_of_cell(cell: str) -> float:
    text = cell.strip()
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return float(text)
    if re.fullmatch(r"[+-]?[0-9]*,[0-9]+", text):
        raise ValueError(f"must have a decimal point: {text.replace(',', '.')}")
    raise ValueError("must be a number of metres such as 0.9, without a unit")


def _int_of_json(value: Any) -> int:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, LongNumber):
        return int(value.digits[:MAX_DIGITS])  # over every bound too
    raise ValueError("must be a whole number without quotes")


def _within(column: str, number: int) -> int:
    low, high = _RANGES[column]
    if not low <= number <= high:
        raise ValueError(f"must be from {low} to {high}")
    return number


def _float_of_json(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number of metres without quotes, such as 0.9")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("must be a number of metres such as 0.9") from None


def _tags_of_cell(cell: str) -> list[str]:
    if cell.strip()[:1] in ("[", "(", "{"):  # a list as pandas writes it: its quotes and brackets are no tags
        raise ValueError("must be tags between semicolons, as in wood; old")
    return [stripped(tag) for tag in re.split("[;|,]", cell) if stripped(tag)]


def _tags_of_json(value: Any) -> list[str]:
    if isinstance(value, str):
        raise ValueError(f"must be a list of texts: {json.dumps([value[:40]])}")
    if not (isinstance(value, list) and all(isinstance(tag, str) for tag in value)):
        raise ValueError('must be a list of texts: ["wood", "old"]')
    return [_text(tag) for tag in value]


def _mapping(value: Any) -> str:
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_refuse_inside)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    except TypeError:
        raise ValueError(f"must not contain a number of more than {MAX_DIGITS} digits") from None
    except ValueError:
        raise ValueError("must not contain NaN or Infinity") from None


def _refuse_inside(value: object) -> NoReturn:
    raise TypeError


def _id_of_json(value: Any) -> str:
    """Whole numbers are their digits, as keys of databases are written."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**128:
        return str(value)
    if value == "":
        raise ValueError("must not be empty; leave it out for a name that is made from the words")
    if not isinstance(value, str):
        raise ValueError("must be text in quotes, or a whole number")
    return _text(value)


def _text(text: str) -> str:
    """`text`, which may hold half a character where a program has cut it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ascii(text[error.start]).strip("'")
        raise ValueError(f"contains half a character ({half}): write both halves or none") from None
    return text
