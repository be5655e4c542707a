"""Rows, faults and warnings of one source."""

from __future__ import annotations

import json
import reprlib
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dreamfoundry.errors import RowError, TooManyRows
from dreamfoundry.manifest.row import prompt_from_row

Values = dict[str, Any]
"""Values by column of the manifest; absent is the default."""

MAX_SOURCE_ROWS = 1_000_000
"""Prompts of a source, and its faults."""

_SHOWN_CHARS = 80
_SHOWN_ITEMS = 4
_SHORT = reprlib.Repr()  # a value may be a list in a list in a list, more often than Python can go down


@dataclass(frozen=True, slots=True)
class Place:
    """Line `number` of a source, from 1, or another unit of it; 0 is the source as a whole."""

    source: str
    number: int = 0
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.source}, {self.unit} {self.number}" if self.number else self.source


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One prompt as it stands in its source."""

    place: Place
    values: Values


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that must be mended in a source."""

    place: Place
    prompt_id: str
    text: str

    def __str__(self) -> str:
        is_plain = self.prompt_id.isprintable() and len(self.prompt_id) <= _SHOWN_CHARS
        name = f" ({self.prompt_id if is_plain else shown(self.prompt_id)})" if self.prompt_id else ""
        return f"{self.place}{name}: {self.text}"


@dataclass
class Reading:
    """The rows of `source` so far, and all that is wrong or worth a word; faults do not end it."""

    source: str
    unit: str = "line"
    rows: list[SourceRow] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    num_comments: int = 0

    def add(self, number: int, values: Values) -> None:
        if len(self.rows) >= MAX_SOURCE_ROWS:
            raise TooManyRows
        self.rows.append(SourceRow(Place(self.source, number, self.unit), values))

    def refuse(self, text: str, number: int = 0, prompt_id: str = "") -> None:
        if len(self.faults) >= MAX_SOURCE_ROWS:
            raise TooManyRows
        self.faults.append(Fault(Place(self.source, number, self.unit), prompt_id, text))

    def refuse_rest(self, number: int, values: Values, prompt_id: str) -> None:
        """Tell what is wrong with the cells that could be read of a row that is refused for others."""
        cells = {"prompt_id": b"x", **{name: _as_bytes(value) for name, value in values.items()}}
        cells["prompt"] = cells.get("prompt") or b"x"
        try:
            prompt_from_row(cells, 0)
        except RowError as error:
            self.refuse(str(error).partition(": ")[2], number, prompt_id)

    def warn(self, text: str) -> None:
        self.warnings.append(f"{self.source}: {text}")


def _as_bytes(value: Any) -> Any:
    """Texts as the reader of Parquet has them."""
    if isinstance(value, list):
        return [_as_bytes(item) for item in value]
    return value.encode("utf-8", "replace") if isinstance(value, str) else value


def shown(value: object, depth: int = 2) -> str:
    """`value` as a literal, short enough for a message; safe to print whatever it holds."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)  # as it stands in the source
    if isinstance(value, list) and depth:
        items = [shown(item, depth - 1) for item in value[:_SHOWN_ITEMS]]
        return _cut(f"[{', '.join(items)}{', ...' if len(value) > _SHOWN_ITEMS else ''}]")
    if isinstance(value, dict) and depth:
        pairs = [f"{shown(key)}: {shown(item, depth - 1)}" for key, item in islice(value.items(), _SHOWN_ITEMS)]
        return _cut(f"{{{', '.join(pairs)}{', ...' if len(value) > _SHOWN_ITEMS else ''}}}")
    text = repr(value[:_SHOWN_CHARS]) if isinstance(value, str) else _SHORT.repr(value)
    is_cut = len(text) > _SHOWN_CHARS or (isinstance(value, str) and len(value) > _SHOWN_CHARS)
    return f"{text[: _SHOWN_CHARS - 3]}..." if is_cut else text


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}..."
