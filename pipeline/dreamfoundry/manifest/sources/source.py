"""One source from its address to its rows; its kind is that of its name, unless the caller says which."""

from __future__ import annotations

import re
from pathlib import PurePath

from dreamfoundry.errors import ManifestError, TooManyRows
from dreamfoundry.manifest.file_kinds import HEAD_BYTES, file_kind
from dreamfoundry.manifest.sources.addresses import STANDARD_INPUT, read_address
from dreamfoundry.manifest.sources.csv_table import read_csv
from dreamfoundry.manifest.sources.decoding import decoded
from dreamfoundry.manifest.sources.json_rows import read_json, read_jsonl
from dreamfoundry.manifest.sources.kinds import KINDS, Kind
from dreamfoundry.manifest.sources.reading import MAX_SOURCE_ROWS, Reading, shown
from dreamfoundry.manifest.sources.text import read_text

_CONFLICT = re.compile(r"^(?:(?:<{7}|>{7})(?: .*)?|={7})$", re.MULTILINE)


def read_source(address: str, kind: Kind | None = None) -> Reading:
    """The rows of the source at `address`, with every fault that it has.

    Raises StoreUnavailable for an S3 that is away, nothing else.
    """
    reading = Reading("standard input" if address == STANDARD_INPUT else address or "''")
    try:
        data = read_address(address)
    except ManifestError as error:
        reading.refuse(str(error).removeprefix(f"{reading.source}: "))
        return reading

    # by its bytes first: whoever renames a workbook to .csv has no CSV
    found = file_kind(data[:HEAD_BYTES])
    suffix = "" if address == STANDARD_INPUT else PurePath(address).suffix.lower()
    if found is not None:
        reading.refuse(f"is {found.name}: {found.remedy}")
    elif kind is None and suffix not in KINDS:
        known = ", ".join(suffix for suffix in KINDS if suffix)
        reading.refuse(f"unknown suffix {suffix!r}: must be one of {known}; or say what it is, as in --from text")
    elif (text := decoded(data, reading)) is not None and not _has_conflicts(text, reading):
        try:
            _read(text, kind or KINDS[suffix], reading, is_told=kind is not None)
        except TooManyRows:
            reading.rows.clear()
            reading.faults.clear()
            reading.refuse(f"has more than {MAX_SOURCE_ROWS:,} prompts or faults: make several manifests of it")
        if not (reading.rows or reading.faults):
            reading.refuse("no prompts in it")
    return reading


def _has_conflicts(text: str, reading: Reading) -> bool:
    """True after a fault about the first line that git has left between two sides of a merge."""
    found = _CONFLICT.search(text)
    if found is None:
        return False
    remedy = "choose one side and remove the markers"
    line = text.count("\n", 0, found.start()) + 1
    reading.refuse(f"{shown(found[0])} looks like a conflict marker of git: {remedy}", line)
    return True


def _read(text: str, kind: Kind, reading: Reading, *, is_told: bool) -> None:
    match kind:
        case "text":
            read_text(text, reading, is_told=is_told)
        case "csv":
            read_csv(text, reading, separators=",;\t")
        case "tsv":
            read_csv(text, reading, separators="\t,;")
        case "jsonl":
            read_jsonl(text, reading)
        case "json":
            read_json(text, reading)
