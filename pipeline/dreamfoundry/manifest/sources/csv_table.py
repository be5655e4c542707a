"""A header and lines of cells, as spreadsheets and pandas write them: commas, semicolons or tabs.

The header decides about the separator: the one that makes `prompt` a column. A first line `sep=;` is obeyed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from dreamfoundry.manifest.sources.columns import column_of, meant, unread
from dreamfoundry.manifest.sources.prompt_ids import words_id
from dreamfoundry.manifest.sources.reading import Reading, Values, shown
from dreamfoundry.manifest.sources.values import from_cell

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read_csv(text: str, reading: Reading, *, separators: str) -> None:
    """Take every line below the header as a prompt; `separators` are tried in their order."""
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    told = re.fullmatch(r'"?sep=(.)"?', lines[start].strip("\r ") if lines else "", re.IGNORECASE)
    if told is not None:
        separators, start = told[1], start + 1
    separator = _separator(lines[start] if start < len(lines) else "", separators)

    records = _records(lines, start, separator, reading)
    first = next(records, None)
    if first is None:
        return
    columns = _columns(first[1], first[0], separator, reading)
    if columns is None:
        return

    header = [cell.strip() for cell in first[1]]
    filled_names: dict[str, None] = {}
    for line, cells in records:
        cells = [cell.strip() for cell in cells]
        if cells == header:
            reading.warn(f"line {line} repeats the header and is left out: were files joined?")
        elif any(cells):
            filled = [name for name, cell, column in zip(header, cells, columns, strict=False) if cell and not column]
            filled_names.update(dict.fromkeys(filled))
            _take(cells, columns, line, reading)
    if told_names := unread(filled_names):
        reading.warn(told_names)


def _separator(header: str, separators: str) -> str:
    """The first of `separators` that makes `prompt` one of several columns, else the first that divides the header."""
    divided = [separator for separator in separators if len(_split(header, separator)) > 1]
    named = [s for s in divided if any(column_of(cell) == "prompt" for cell in _split(header, s))]
    return (named or divided or list(separators))[0]


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _columns(header: list[str], line: int, separator: str, reading: Reading) -> list[str | None] | None:
    """The column of each cell, None for one that is not read; None after a fault of the header."""
    columns = [column_of(cell) for cell in header]
    twice = sorted({column for column in columns if column is not None and columns.count(column) > 1})
    if twice:
        reading.refuse(f"column {twice[0]!r} stands in the header twice: remove or rename one", line)
        return None
    if "prompt" in columns:
        return columns

    hint = next((meant(cell) for cell in header if "'prompt'" in meant(cell)), "")
    names = ", ".join(shown(cell.strip()) for cell in header[:10])
    divided = _NAMES.get(separator, repr(separator))
    reading.refuse(
        f"the header, divided at {divided}, has no column 'prompt'; it has {names}{hint}; "
        "for one prompt a line without a header: --from text",
        line,
    )
    return None


def _records(lines: list[str], start: int, separator: str, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, cells) of every record; a broken quote is a fault and the end."""
    text = io.StringIO("\n".join(lines[start:]))
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True, strict=True)
    begins = start + 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            end = start + reader.line_num
            line, reason = _quote_fault(lines[begins - 1 : end], separator, error)
            reading.refuse(f"{reason}; nothing is read from here on", begins + line)
            return
        if cells:
            yield begins, cells
        begins = start + reader.line_num + 1


def _quote_fault(record: list[str], separator: str, error: csv.Error) -> tuple[int, str]:
    """(line within the record, reason): the line on which a quote was opened, not where the parser fell over."""
    quoted, plain = re.compile(r'"(?:[^"]|"")*+"'), re.compile(rf"[^{re.escape(separator)}\n]*")
    text, at = "\n".join(record), 0
    while at < len(text):
        at += len(text[at:]) - len(text[at:].lstrip(" "))
        if text.startswith('"', at):
            line, closed = text.count("\n", 0, at), quoted.match(text, at)
            if closed is None:
                return line, "a quote is opened here and never closed"
            at = closed.end()
            if text[at : at + 1] not in ("", separator, "\n"):
                return (
                    line,
                    'text stands behind the quoted text that begins here: a quote within it is doubled ("")',
                )
        elif (cell := plain.match(text, at)) is not None:
            at = cell.end()
        at += 1
    return 0, f"not valid CSV: {error}"


def _take(cells: list[str], columns: list[str | None], line: int, reading: Reading) -> None:
    """Add the row of `cells`, or all of its faults."""
    texts = {column: cell for cell, column in zip(cells, columns, strict=False) if cell and column is not None}
    if not texts and not any(cells[len(columns) :]):
        return  # only columns that are not read have something to say
    prompt_id = texts.get("prompt_id") or ("prompt" in texts and words_id(texts["prompt"])) or ""
    if any(cells[len(columns) :]):
        count = f"{len(cells)} values, but the header has {len(columns)} columns"
        reading.refuse(f"has {count}: put a text with a separator in quotes", line, prompt_id)
        return  # its values stand in wrong columns

    num_faults = len(reading.faults)
    if "prompt" not in texts:
        reading.refuse("prompt is empty: say what to make, or remove the line", line, prompt_id)

    values: Values = {}
    for column, cell in texts.items():
        try:
            values[column] = from_cell(column, cell)
        except ValueError as error:
            reading.refuse(f"{column} = {shown(cell)}: {error}", line, prompt_id)
    if len(reading.faults) == num_faults:
        reading.add(line, values)
