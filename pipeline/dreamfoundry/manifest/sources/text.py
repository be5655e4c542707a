"""One prompt a line; empty lines and lines that begin with # are skipped."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from dreamfoundry.manifest.sources.columns import column_of
from dreamfoundry.manifest.sources.csv_table import NAMES, split_line
from dreamfoundry.manifest.sources.reading import Reading, shown
from dreamfoundry.manifest.text import stripped

_DECORATIONS = {
    "is in quotes, which become part of the prompt": re.compile(r"""(["'«“„]).*["'»”“]"""),
    "begins with a number, which becomes part of the prompt": re.compile(r"\(?[0-9]+[.):]\s.*"),
    "begins with a list mark, which becomes part of the prompt": re.compile(r"[-*•–]\s.*"),
    "has tabs, which become blanks: is it a table (--from tsv)?": re.compile(r"[^\t]+\t.*"),
}
"""Marks that a line may bring from a list, and that would be words of its prompt; a remark on each."""

_NUMBER = re.compile(r"\s*[+-]?[0-9]+([.,][0-9]+)?\s*")
_MAX_LOOKED_AT = 1000
"""Lines in which a column of numbers is looked for."""

_REMEDY = "name it .csv and put a line of names above, prompt among them"


@dataclass(frozen=True)
class _Division:
    """A separator that divides every line of a text into as many parts, more than one; some may be numbers only."""

    separator: str
    width: int
    num_lines: int
    has_numbers: bool

    def __str__(self) -> str:
        return f"{NAMES[self.separator]} divide each of its lines into {self.width}"


def _division(text: str) -> _Division | None:
    """The division of a text of two lines or more; None for one that no separator divides alike."""
    lines = [line for line in map(str.strip, text.split("\n")) if line and not line.startswith("#")]
    for separator in "\t;|,":
        width = len(split_line(lines[0], separator)) if len(lines) > 1 else 0
        if width < 2 or not all(len(split_line(line, separator)) == width for line in lines):
            continue
        below = [split_line(line, separator) for line in lines[1:_MAX_LOOKED_AT]]  # the first may be a header
        has_numbers = any(all(_NUMBER.fullmatch(row[at]) for row in below) for at in range(width))
        return _Division(separator, width, len(lines), has_numbers and len(below) > 1)
    return None


def read_text(text: str, reading: Reading, *, is_told: bool) -> None:
    """Take every line as a prompt; a table is refused unless the caller `is_told` that this is text."""
    divided = None if is_told else _division(text)
    table = None if is_told else _table_kind(text, divided)
    if table is not None:
        reading.refuse(f"{table}; to read its lines as prompts all the same: --from text")
        return

    if divided is not None and divided.num_lines > 2:
        reading.warn(f"{divided}, and stay in the prompts; if it is a table, {_REMEDY}")
    decorated: dict[str, list[int]] = {name: [] for name in _DECORATIONS}
    for number, line in enumerate(text.split("\n"), 1):
        prompt = stripped(line)
        if not prompt or prompt.startswith("#"):
            reading.num_comments += bool(prompt)
            continue
        reading.add(number, {"prompt": prompt})
        for name, pattern in _DECORATIONS.items():
            if pattern.fullmatch(prompt):
                decorated[name].append(number)

    # taken as it is, but not in silence: nobody wants a quotation mark in 3D
    for name, numbers in decorated.items():
        if numbers:
            others = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
            reading.warn(f"line {numbers[0]}{others} {name}")


def _table_kind(text: str, divided: _Division | None) -> str | None:
    """A text that is no list of prompts, in words, with the flag that reads it; None for one that seems to be."""
    first = next((line for line in text.split("\n") if line.strip()), "").strip()
    if first[:1] in ("{", "["):
        flag = "jsonl" if first.startswith("{") and first.endswith("}") else "json"
        if len(first) == 1 or _is_json(first) or _is_json(text):
            return f"looks like JSON: name it .{flag}, or say --from {flag}"

    for separator, flag in ((",", "csv"), (";", "csv"), ("\t", "tsv")):
        cells = split_line(first, separator)
        if len(cells) > 1 and any(column_of(cell) == "prompt" for cell in cells):
            return f"line 1, {shown(first)}, looks like the header of a table: name it .{flag}, or say --from {flag}"

    if divided is not None and (divided.separator != "," or divided.has_numbers):
        told = " and above that a line sep=|" if divided.separator == "|" else ""
        return f"looks like a table: {divided}; {_REMEDY}{told}"
    return None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_int=str), dict | list)
    except (ValueError, RecursionError):
        return False
