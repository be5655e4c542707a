"""The files of a manifest: which of them are its parts, and their footers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry.errors import ManifestError, Stopped
from dreamfoundry.manifest.bounds import MAX_ROWS, footer_faults
from dreamfoundry.manifest.columns import column_faults, likely_name
from dreamfoundry.manifest.diagnosis import UNREADABLE, diagnosis, one_line
from dreamfoundry.manifest.footer import Footer, RowGroup, read_footer
from dreamfoundry.manifest.row import COLUMNS, NAMES
from dreamfoundry.object_store.part_names import is_hidden, is_marker, is_part, partition_key

_LARGE_ROW_GROUP_BYTES = 256 * 2**20


@dataclass(frozen=True)
class NotRead:
    """A file or folder beside the parts, by its name in the manifest's folder, and why it was not read."""

    name: str
    reason: str


@dataclass(frozen=True)
class Group:
    """A row group; `num_bytes` is its size before compression.

    `dictionary_leaves` are the columns of the manifest that can be read as dictionaries, by their paths in the schema.
    Arrow cannot do that with texts that are stored as differences.
    """

    num_rows: int
    num_bytes: int
    dictionary_leaves: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One Parquet file.

    `name` is the one in the manifest's folder; `first_row` counts the rows of the parts before.
    """

    path: Path
    name: str
    schema: pa.Schema
    groups: tuple[Group, ...]
    first_row: int

    @property
    def num_rows(self) -> int:
        return sum(group.num_rows for group in self.groups)

    def open(self, dictionary_leaves: tuple[str, ...]) -> pq.ParquetFile:
        """The file with checksums of pages verified, and some columns as dictionaries; ManifestError if it is gone."""
        try:
            return pq.ParquetFile(
                self.path,
                read_dictionary=list(dictionary_leaves),
                pre_buffer=False,
                page_checksum_verification=True,
                arrow_extensions_enabled=False,
            )
        except UNREADABLE as error:
            raise ManifestError(f"{self.name}: cannot be read as a Parquet file ({one_line(error)})") from None

    @property
    def column_names(self) -> list[str]:
        """The columns of a manifest that this part has."""
        return [column.name for column in COLUMNS if column.name in self.schema.names]


@dataclass(frozen=True)
class Parts:
    """The parts of a manifest in the order of their names, and what stands beside them."""

    parts: tuple[Part, ...]
    not_read: tuple[NotRead, ...]
    ignored_columns: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        return sum(part.num_rows for part in self.parts)


def open_parts(path: Path, address: str = "", should_stop: Callable[[], bool] = lambda: False) -> Parts:
    """The parts of the manifest at `path`, a file or a folder, with sound footers and columns.

    Raises ManifestError, which calls the manifest `address` (by default `path`), for what is none.
    """
    address = address or str(path)
    files, not_read, keys = _find(path, address)
    if keys & NAMES:
        raise ManifestError(
            f"{address}: {', '.join(sorted(keys & NAMES))} stands in the names of folders only; write it into the files"
        )

    parts: list[Part] = []
    for name in files:
        if should_stop():
            raise Stopped("while the manifest was opened")
        first_row = parts[-1].first_row + parts[-1].num_rows if parts else 0
        file, shown = (path / name, f"{address.rstrip('/')}/{name}") if path.is_dir() else (path, address)
        parts.append(_part(file, name, shown, first_row))

    num_rows = sum(part.num_rows for part in parts)
    if num_rows == 0:
        raise ManifestError(f"{address}: the manifest has no rows; write at least one prompt")
    if num_rows > MAX_ROWS:
        raise ManifestError(
            f"{address}: has {num_rows} rows: must be at most {MAX_ROWS}; split it into several manifests"
        )

    strangers = dict.fromkeys(name for part in parts for name in part.schema.names if name not in NAMES)
    ignored = (*strangers, *sorted(keys - set(strangers)))
    return Parts(tuple(parts), tuple(not_read), ignored, tuple(dict.fromkeys(_warnings(parts))))


def _find(path: Path, address: str) -> tuple[list[str], list[NotRead], frozenset[str]]:
    """Names of the parts, what is not read beside them, and the keys of partitions."""
    if path.is_file():
        return [address.rstrip("/").rpartition("/")[2]], [], frozenset()
    if not path.is_dir():
        what = "is no file and no folder (a named pipe or a device?)" if path.exists() else "no such file"
        raise ManifestError(f"{address}: {what}; give a Parquet file, or a folder of them")
    if (path / "_delta_log").is_dir():
        raise ManifestError(
            f"{address}: is a Delta table, whose folder keeps files of old versions; export it to Parquet"
        )

    found: list[str] = []
    not_read: list[NotRead] = []
    try:
        names = sorted(names_in(path), key=lambda pair: Path(pair[0]))
    except OSError as error:
        raise ManifestError(f"{address}: cannot be read: {error.strerror}; see who may read it") from None
    for name, is_folder in names:
        if not is_folder and is_part(name):
            found.append(name)
        elif not is_marker(name):
            not_read.append(NotRead(_readable(name), _reason(path, name, is_folder)))
    if not found:
        beside = "; ".join(f"{item.name}: {item.reason}" for item in not_read[:5])
        raise ManifestError(f"{address}: the folder holds no *.parquet file{f' ({beside})' if beside else ''}")
    return found, not_read, frozenset(partition_key(folder) for name in found for folder in name.split("/")[:-1])


def names_in(folder: Path, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """(relative name, whether it is a folder that is not entered) of everything in a folder and its partitions."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if not entry.is_dir():
                yield name, False
            elif partition_key(entry.name):
                yield from names_in(Path(entry.path), f"{name}/")
            else:
                yield f"{name}/", True


def _readable(name: str) -> str:
    """A name of a file without bytes that are no UTF-8, which no report could hold."""
    return os.fsencode(name).decode("utf-8", "replace")


def _reason(folder: Path, name: str, is_folder: bool) -> str:
    if is_hidden(name.rstrip("/").rpartition("/")[2]):
        return "its name begins with . or _, as those of hidden files and drafts do"
    place = folder / name.rstrip("/")
    if is_folder:
        what = "a link to a folder" if place.is_symlink() else "a folder"
        return f"{what} within the manifest's; only partitions (key=value) are entered"
    if not place.is_file():
        return _irregular(place)
    if name.lower().endswith(".parquet"):
        return "its name is that of an unfinished file"
    return "its name does not end in .parquet"


def _irregular(place: Path) -> str:
    """The kind of what is neither a file nor a folder."""
    return "a link that leads to no file" if place.is_symlink() else "no file: a named pipe, a socket or a device"


def _part(file: Path, name: str, shown: str, first_row: int) -> Part:
    """The part in `file`; ManifestError if its footer or its columns are none of a manifest."""
    if _readable(name) != name:
        raise ManifestError(f"{_readable(shown)}: its name is not UTF-8; rename the file")
    if not file.is_file():
        raise ManifestError(f"{shown}: {_irregular(file)}; put a Parquet file in its place, or take it away")
    try:
        with pq.ParquetFile(file, arrow_extensions_enabled=False) as opened:
            metadata, schema = opened.metadata, opened.schema_arrow
            leaves = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
        with file.open("rb") as raw:
            footer = read_footer(raw)
    except UnicodeDecodeError:
        raise ManifestError(f"{shown}: a column's name is not UTF-8; rename the column or leave it out") from None
    except UNREADABLE as error:
        raise ManifestError(f"{shown}: {diagnosis(file, one_line(error))}") from None

    faults = column_faults(schema) or _footer_faults(footer, leaves)
    if faults:
        raise ManifestError(f"{shown}: {'; '.join(faults[:5])}")
    groups = tuple(_group(group, leaves) for group in footer.groups)
    return Part(file, name, schema, groups, first_row)


def _group(group: RowGroup, leaves: list[str]) -> Group:
    pairs = zip(leaves, group.chunks, strict=True)
    shared = [leaf for leaf, chunk in pairs if _column_of(leaf) and not chunk.has_deltas]
    return Group(group.num_rows, group.num_bytes, tuple(shared))


def _footer_faults(footer: Footer, leaves: list[str]) -> list[str]:
    num_rows = sum(group.num_rows for group in footer.groups)
    is_torn = any(group.num_rows < 0 or len(group.chunks) != len(leaves) for group in footer.groups)
    if num_rows != footer.num_rows or is_torn:
        return [f"its footer is damaged: {footer.num_rows} rows in all, {num_rows} in row groups; write the file again"]
    return list(dict.fromkeys(footer_faults(footer, [_column_of(leaf) for leaf in leaves])))


def _column_of(leaf: str) -> str:
    """The manifest's column with this path in the schema, "" for a stranger such as `prompt.embedding`."""
    column, _, inner = leaf.partition(".")
    return column if column in NAMES and (not inner or column == "tags") else ""


def _warnings(parts: list[Part]) -> Iterator[str]:
    for part in parts:
        most_bytes = max((group.num_bytes for group in part.groups), default=0)
        if most_bytes > _LARGE_ROW_GROUP_BYTES:
            size_mib = most_bytes / 2**20
            yield f"{part.name}: a row group of {size_mib:.0f} MiB; groups of 2000 rows need far less memory"
        for column in COLUMNS:
            meant = "" if column.name in part.schema.names else likely_name(column.name, part.schema.names)
            if meant:
                yield f"column {meant!r} is not read; is {column.name!r} meant?"
