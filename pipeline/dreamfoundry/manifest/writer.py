"""Text lines, CSV or JSONL become a manifest that a run accepts, or are refused as a whole."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry.errors import ManifestError
from dreamfoundry.identity import slug
from dreamfoundry.manifest.reader import scan
from dreamfoundry.manifest.row import COLUMNS, NAMES

ROWS_PER_GROUP = 2_000

Row = dict[str, Any]


def make_manifest(source: Path, manifest: Path) -> int:
    """Write `manifest` from `source` and return the number of prompts.

    `source` is read as CSV or JSONL by its suffix, as lines of text otherwise. Raises ManifestError for
    whatever a run would refuse; an existing `manifest` is replaced at the very end.
    """
    rows = list(_read_source(source))
    if not rows:
        raise ManifestError(f"{source}: no prompts in it")

    for index, (line, row) in enumerate(rows):
        _check_columns(row, f"{source}, line {line}")
        text = str(row.get("prompt") or "")
        row["prompt_id"] = str(row.get("prompt_id") or f"{index + 1:04d}-{slug(text)}")
    _refuse_duplicates(rows, source)
    table = _to_table([row for _, row in rows], source)

    # a draft first: nobody may find a manifest that was not scanned
    manifest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=manifest.parent, prefix=".manifest-") as folder:
        draft = Path(folder) / "manifest.parquet"
        pq.write_table(
            table, draft, row_group_size=ROWS_PER_GROUP, compression="zstd", version="2.6", write_page_checksum=True
        )
        errors = scan(draft).row_errors
        if errors:
            shown = "\n".join(f"  line {rows[error.row][0]}: {error}" for error in errors)
            raise ManifestError(f"{source}: {len(errors)} of {len(rows)} prompts cannot be used\n{shown}")
        draft.replace(manifest)
    return len(rows)


def _read_source(source: Path) -> Iterator[tuple[int, Row]]:
    """(line number from 1, values by column) of every prompt in the file."""
    try:
        text = source.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(f"{source}: no such file") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{source}: must be UTF-8 (byte {error.start} is not)") from None
    if source.suffix == ".csv":
        return _read_csv(text, source)
    if source.suffix in (".jsonl", ".ndjson"):
        return _read_jsonl(text, source)
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    return ((number, {"prompt": line}) for number, line in lines if line and not line.startswith("#"))


def _read_csv(text: str, source: Path) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(io.StringIO(text), restkey="too many", strict=True)

    converters: dict[str, Any] = {"seed": int, "priority": int, "target_height_m": float, "tags": _split_tags}
    try:
        for values in reader:
            if "too many" in values:
                raise ManifestError(f"{source}, line {reader.line_num}: more values than the header has columns")
            row: Row = {name: value for name, value in values.items() if value}
            for name in row.keys() & converters.keys():
                try:
                    row[name] = converters[name](row[name])
                except ValueError:
                    raise ManifestError(
                        f"{source}, line {reader.line_num}: {name} = {row[name]!r}: must be a number"
                    ) from None
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise ManifestError(f"{source}, line {reader.line_num}: not valid CSV: {error}") from None


def _read_jsonl(text: str, source: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ManifestError(f"{source}, line {number}: not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise ManifestError(f'{source}, line {number}: must be an object like {{"prompt": "a red mushroom"}}')
        for name in ("recipe_overrides", "view_prompts"):
            if isinstance(row.get(name), dict):
                row[name] = json.dumps(row[name], sort_keys=True)
        yield number, row


def _split_tags(text: str) -> list[str]:
    return [tag.strip() for tag in text.split(";") if tag.strip()]


def _check_columns(row: Row, where: str) -> None:
    unknown = sorted(row.keys() - NAMES, key=str)
    if unknown:
        known = ", ".join(column.name for column in COLUMNS)
        raise ManifestError(f"{where}: unknown column {unknown[0]!r}; known are {known}")


def _refuse_duplicates(rows: list[tuple[int, Row]], source: Path) -> None:
    """No id twice, and no prompt twice that would become the same asset."""
    ids: dict[str, int] = {}
    contents: dict[str, int] = {}
    for line, row in rows:
        content = json.dumps({name: row[name] for name in row if name != "prompt_id"}, sort_keys=True)
        for seen, value, what in ((ids, row["prompt_id"], "prompt_id"), (contents, content, "prompt")):
            if value in seen:
                shown = row[what]
                raise ManifestError(
                    f"{source}: lines {seen[value]} and {line} both have {what} {shown!r}; "
                    "remove one, or give the second another seed"
                )
            seen[value] = line


def _to_table(rows: list[Row], source: Path) -> pa.Table:
    """The rows with the required columns and those that at least one of them has, typed as a manifest."""
    used = [column for column in COLUMNS if column.required or any(row.get(column.name) is not None for row in rows)]
    arrays = []
    for column in used:
        try:
            arrays.append(pa.array([row.get(column.name) for row in rows], column.type))
        except (pa.ArrowException, OverflowError) as error:
            raise ManifestError(f"{source}: column {column.name!r} must be {column.type}: {error}") from None
    return pa.table(arrays, names=[column.name for column in used])
