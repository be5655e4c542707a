"""Kinds of files that are handed in by mistake, told by their first bytes, and what to do with each."""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES = 512
"""First bytes of a file that `file_kind` wants to see."""

_AS_PARQUET = "write it as Parquet (pandas: to_parquet, polars: write_parquet, DuckDB: COPY … TO 'prompts.parquet')"
_IN_WORDS = "give prompts in words"
_AS_CSV = 'save it as "CSV UTF-8"'


@dataclass(frozen=True)
class FileKind:
    """`name` goes on with "is …"; `remedy` makes the file usable, in the imperative."""

    name: str
    remedy: str


PARQUET = FileKind("a Parquet file", "give it to `dreamfoundry build` as it is")

_BY_FIRST_BYTES = {
    b"PAR1": PARQUET,
    b"PARE": FileKind("an encrypted Parquet file", "write it without encryption"),
    b"ARROW1": FileKind("an Arrow (Feather) file", _AS_PARQUET),
    b"\xff\xff\xff\xff": FileKind("an Arrow stream", _AS_PARQUET),
    b"FEA1": FileKind("a Feather file", _AS_PARQUET),
    b"ORC": FileKind("an ORC file", _AS_PARQUET),
    b"Obj\x01": FileKind("an Avro file", _AS_PARQUET),
    b"SQLite format 3\0": FileKind("an SQLite database", _AS_PARQUET),
    b"\x1f\x8b": FileKind("compressed with gzip", "unpack it first (gunzip)"),
    b"\x28\xb5\x2f\xfd": FileKind("compressed with zstd", "unpack it first (unzstd)"),
    b"\xfd7zXZ\0": FileKind("compressed with xz", "unpack it first (unxz)"),
    b"BZh": FileKind("compressed with bzip2", "unpack it first (bunzip2)"),
    b"\xd0\xcf\x11\xe0": FileKind("an old Excel workbook (.xls)", _AS_CSV),
    b"%PDF": FileKind("a PDF", "copy its lines into a text file"),
    b"\x89PNG": FileKind("a picture (PNG)", _IN_WORDS),
    b"\xff\xd8\xff": FileKind("a picture (JPEG)", _IN_WORDS),
    b"GIF8": FileKind("a picture (GIF)", _IN_WORDS),
    b"II*\0": FileKind("a picture (TIFF)", _IN_WORDS),
    b"MM\0*": FileKind("a picture (TIFF)", _IN_WORDS),
    b"glTF\x02": FileKind("a 3D model (GLB)", _IN_WORDS),
    b"7z\xbc\xaf\x27\x1c": FileKind("a 7-Zip archive", "unpack it first (7z x)"),
    b"Rar!\x1a": FileKind("a RAR archive", "unpack it first (unrar x)"),
    b"{\\rtf": FileKind("a document (RTF)", "save it as plain text (UTF-8)"),
    b"version https://git-lfs.github.com/spec/": FileKind("a Git LFS pointer, not the file itself", "run git lfs pull"),
}

_BY_FIRST_TEXT = {
    b"<!doctype html": FileKind("a web page (HTML)", "download the file itself"),
    b"<svg": FileKind("a picture (SVG)", _IN_WORDS),
    b"<html": FileKind("a web page (HTML)", "download the file itself"),
    b"<?xml": FileKind("XML", "write it as CSV, JSON Lines or Parquet"),
}


def file_kind(head: bytes) -> FileKind | None:
    """The kind of a file that begins with `head`; None for what may be text, CSV or JSON, or is unknown."""
    for beginning, kind in _BY_FIRST_BYTES.items():
        if head.startswith(beginning):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return FileKind("a picture (WebP)", _IN_WORDS)

    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((kind for beginning, kind in _BY_FIRST_TEXT.items() if text.startswith(beginning)), None)


def _zip_kind(head: bytes) -> FileKind:
    """A workbook is a zip whose first member says so."""
    if b"[Content_Types].xml" in head or b"_rels/" in head or b"xl/" in head:
        return FileKind("an Excel workbook (.xlsx)", _AS_CSV)
    if b"opendocument.spreadsheet" in head:
        return FileKind("an OpenDocument spreadsheet", _AS_CSV)
    return FileKind("a zip archive", "unpack it first (unzip)")
