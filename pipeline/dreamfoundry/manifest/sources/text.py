"""One prompt a line; empty lines and lines that begin with # are skipped."""

from __future__ import annotations

import json
import re

from dreamfoundry.manifest.sources.columns import column_of
from dreamfoundry.manifest.sources.csv_table import split_line
from dreamfoundry.manifest.sources.reading import Reading, shown
from dreamfoundry.manifest.text import stripped

_DECORATIONS = {
    "is in quotes, which become part of the prompt": re.compile(r"""(["'«“„]).*["'»”“]"""),
    "begins with a number, which becomes part of the prompt": re.compile(r"\(?[0-9]+[.):]\s.*"),
    "begins with a list mark, which becomes part of the prompt": re.compile(r"[-*•–]\s.*"),
    "has tabs, which become blanks: is it a table (--from tsv)?": re.compile(r"[^\t]+\t.*"),
}
"""Marks that a line may bring from a list, and that would be words of its prompt; a remark on each."""


def read_text(text: str, reading: Reading, *, is_told: bool) -> None:
    """Take every line as a prompt; a table is refused unless the caller `is_told` that this is text."""
    table = None if is_told else _table_kind(text)
    if table is not None:
        reading.refuse(f"{table}; to read its lines as prompts all the same: --from text")
        return

    decorated: dict[str, list[int]] = {name: [] for name in _DECORATIONS}
    for number, line in enumerate(text.split("\n"), 1):
        prompt = stripped(line)
        if not prompt or prompt.startswith("#"):
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


def _table_kind(text: str) -> str | None:
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
    return None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False
