"""A header and lines of cells, as spreadsheets and pandas write them: commas, semicolons or tabs.

The header decides about the separator: the one that makes `prompt` a column. A first line `sep=;` is obeyed.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from dreamfoundry.manifest.bounds import MAX_JSON_BYTES, MAX_TEXT_BYTES
from dreamfoundry.manifest.sources.columns import column_of, meant, unread
from dreamfoundry.manifest.sources.prompt_ids import words_id
from dreamfoundry.manifest.sources.reading import Reading, Values, shown
from dreamfoundry.manifest.sources.values import from_cell
from dreamfoundry.manifest.text import stripped

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""Separators in words."""


def read_csv(text: str, reading: Reading, *, separators: str) -> None:
    """Take every line below the header as a prompt; `separators` are tried in their order."""
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    told = re.fullmatch(r'"?sep=(.)"?', lines[start].strip("\r ") if lines else "", re.IGNORECASE)
    if told is not None:
        separators, start = told[1], start + 1
    separator = _separator(lines[start] if start < len(lines) else "", separators)

    is_quoted = separator != "\t" or not _has_plain_quotes(lines[start:])
    if not is_quoted:
        reading.warn("its quotes are no quotes of CSV, and are taken as they are")
    records = _records(lines, start, separator, reading, is_quoted=is_quoted)
    first = next(records, None)
    if first is None:
        return
    columns = _columns(first[1], first[0], separator, reading)
    if columns is None:
        return

    header = [cell.strip() for cell in first[1]]
    others = _OtherSeparators(separator, len(header))
    filled_names: dict[str, None] = {}
    repeated: list[int] = []
    short: list[tuple[int, int]] = []
    width = max(number for number, cell in enumerate(header, 1) if cell)  # spreadsheets drop separators at the end
    for line, cells in records:
        cells = [stripped(cell) for cell in cells]
        if cells == header:
            repeated.append(line)
        elif any(cells):
            if not others.check(line, cells) and len(cells) < width:
                short.append((line, len(cells)))
            filled = [name for name, cell, column in zip(header, cells, columns, strict=False) if cell and not column]
            filled_names.update(dict.fromkeys(filled))
            _take(cells, columns, line, reading)
    others.report(first[0], reading)
    if short:
        more = f", as are {len(short) - 1} more lines" if len(short) > 1 else ""
        count = f"{short[0][1]} of {width} values"
        reading.warn(f"line {short[0][0]} is shorter than the header, with {count}{more}: those that lack are empty")
    if repeated:
        more = f", as are {len(repeated) - 1} more" if len(repeated) > 1 else ""
        reading.warn(f"line {repeated[0]} repeats the header and is left out{more}: were files joined?")
    if told_names := unread(filled_names):
        reading.warn(told_names)


class _OtherSeparators:
    """Lines that another separator than that of the header would divide: one cell, which holds a whole row."""

    def __init__(self, separator: str, num_columns: int) -> None:
        self._separator, self._num_columns = separator, num_columns
        self._num_lines = 0
        self._found: dict[str, list[int]] = {}

    def check(self, line: int, cells: list[str]) -> bool:
        """Note the line if it is one cell that another separator divides as the header is divided; True if it is."""
        self._num_lines += 1
        is_noted = False
        if len(cells) != 1:
            return False
        for other in NAMES:
            width = len(split_line(cells[0], other)) if other != self._separator and other in cells[0] else 1
            if width > 1 and self._num_columns in (1, width):
                self._found.setdefault(other, []).append(line)
                is_noted = True
        return is_noted

    def report(self, header_line: int, reading: Reading) -> None:
        """A fault if all lines are so, else a warning: they are prompts as a whole."""
        for other, lines in self._found.items():
            own, name = NAMES.get(self._separator, repr(self._separator)), NAMES[other]
            if self._num_columns > 1 and len(lines) == self._num_lines:
                reading.refuse(f"{own} divide the header, but {name} the lines below: make them alike", header_line)
                return
            if self._num_columns > 1 or len(lines) == self._num_lines > 1:
                more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
                reading.warn(f"line {lines[0]}{more}: {name} stay in the prompt, since the header has none")


def _separator(header: str, separators: str) -> str:
    """The first of `separators` that makes `prompt` one of several columns, else the first that divides the header."""
    divided = [separator for separator in separators if len(split_line(header, separator)) > 1]
    named = [s for s in divided if any(column_of(cell) == "prompt" for cell in split_line(header, s))]
    return (named or divided or list(separators))[0]


def split_line(line: str, separator: str) -> list[str]:
    """The cells of one line; [] for one that is longer than a cell may be."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []


def _columns(header: list[str], line: int, separator: str, reading: Reading) -> list[str | None] | None:
    """The column of each cell, None for one that is not read; None after a fault of the header."""
    columns = [column_of(cell) for cell in header]
    counts = Counter(column for column in columns if column is not None)
    twice = next((column for column, count in counts.items() if count > 1), None)
    if twice is not None:
        same = dict.fromkeys(cell.strip() for cell, column in zip(header, columns, strict=True) if column == twice)
        as_written = f", as {' and '.join(map(shown, list(same)[:3]))}" if len(same) > 1 else ""
        reading.refuse(f"column {twice!r} stands in the header twice{as_written}: remove or rename one", line)
        return None
    if "prompt" in columns:
        return columns

    hint = next((meant(cell) for cell in header[:100] if "'prompt'" in meant(cell)), "")
    names = ", ".join(shown(cell.strip()) for cell in header[:10])
    divided = NAMES.get(separator, repr(separator))
    reading.refuse(
        f"the header, divided at {divided}, has no column 'prompt'; it has {names}{hint}; "
        "for one prompt a line without a header: --from text",
        line,
    )
    return None


def _has_plain_quotes(lines: list[str]) -> bool:
    """True if tabs divide all lines alike, but not if quotes count: the program that wrote them never quotes.

    Quotes that do not pair count for nothing. Those that do may still take several lines for one cell.
    """
    if len({line.count("\t") for line in lines if line.strip()}) != 1:
        return False
    try:
        records = csv.reader(io.StringIO("\n".join(lines)), delimiter="\t", strict=True)
        return any("\t" in cell for cells in records for cell in cells)
    except csv.Error:
        return True


def _records(
    lines: list[str], start: int, separator: str, reading: Reading, *, is_quoted: bool
) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, cells) of every record; a broken quote is a fault and the end."""
    text = io.StringIO("\n".join(lines[start:]))
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
    reader = csv.reader(text, delimiter=separator, quoting=quoting, skipinitialspace=True, strict=True)

    begins = start + 1
    spread: list[int] = []
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            if spread:
                more = f" and {len(spread) - 1} more" if len(spread) > 1 else ""
                reading.warn(f"line {spread[0]}{more}: a quoted text goes on over several lines, which become one")
            return
        except csv.Error as error:
            end = start + reader.line_num
            line, reason = _quote_fault(lines[begins - 1 : end], separator, error)
            reading.refuse(f"{reason}; nothing is read from here on", begins + line)
            return
        if any("\n" in cell for cell in cells):
            spread.append(begins)
        if cells:
            yield begins, cells
        begins = start + reader.line_num + 1


def _quote_fault(record: list[str], separator: str, error: csv.Error) -> tuple[int, str]:
    """(line within the record, reason): the line on which a quote was opened, not where the parser fell over."""
    quoted, plain = re.compile(r'"(?:[^"]|"")*+"'), re.compile(rf"[^{re.escape(separator)}\n]*")
    text, at = "\n".join(record), 0
    while at < len(text):
        while text.startswith(" ", at):
            at += 1
        if text.startswith('"', at):
            opened, closed = at, quoted.match(text, at)
            if closed is None:
                return text.count("\n", 0, opened), "a quote is opened here and never closed"
            at = closed.end()
            if text[at : at + 1] not in ("", separator, "\n"):
                reason = 'text stands behind the quoted text that begins here: a quote within it is doubled ("")'
                return text.count("\n", 0, opened), reason
        elif (cell := plain.match(text, at)) is not None:
            at = cell.end()
        at += 1

    if "field limit" in str(error):
        sizes = f"{MAX_TEXT_BYTES // 2**10} KiB, a JSON object {MAX_JSON_BYTES // 2**10} KiB"
        return 0, f"a cell has more than {csv.field_size_limit():,} characters, but a text may have at most {sizes}"
    return 0, f"not valid CSV: {error}"


def _take(cells: list[str], columns: list[str | None], line: int, reading: Reading) -> None:
    """Add the row of `cells`, or all of its faults."""
    texts = {column: cell for cell, column in zip(cells, columns, strict=False) if cell and column is not None}
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
    if len(reading.faults) > num_faults:
        reading.refuse_rest(line, values, prompt_id)
    else:
        reading.add(line, values)
