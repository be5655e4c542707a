"""Diagnosis of a file that cannot be opened as Parquet: a sentence with what would work."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

from dreamfoundry.manifest.file_kinds import HEAD_BYTES, PARQUET, file_kind
from dreamfoundry.manifest.footer import read_footer
from dreamfoundry.manifest.row import NAMES
from dreamfoundry.manifest.text import first_few

UNREADABLE = (OSError, pa.ArrowException, ValueError, LookupError, OverflowError, MemoryError)
"""Exceptions of the Parquet reader on damaged bytes."""

_LEAST_BYTES = 12  # magic, length of the footer, magic


def diagnosis(file: Path, reason: str) -> str:
    """A sentence about a file that cannot be opened as Parquet, with what would work."""
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
            num_bytes = opened.seek(0, os.SEEK_END)
            opened.seek(max(num_bytes - HEAD_BYTES, 0))
            end = opened.read()
    except OSError as error:
        return f"cannot be read: {error.strerror}; see who may read it"
    if not head:
        return "is empty (0 bytes); write or copy it again"
    if end.endswith(b"PARE") or "encrypt" in reason:
        return "is encrypted, and there is no key here; write it without encryption"

    kind = file_kind(head)
    if kind is PARQUET and b"PAR1" in end[4:] and not end.endswith(b"PAR1"):
        return "is a Parquet file with further bytes behind its end; write or copy it again"
    if kind is PARQUET and (not end.endswith(b"PAR1") or num_bytes < _LEAST_BYTES):
        return "begins as a Parquet file but has no footer: it is cut off; write or copy it again"
    if kind is PARQUET:
        return _rare_types(file, reason) or f"cannot be read as a Parquet file ({reason}); write it again"
    if kind is not None:
        return f"not a Parquet file: it is {kind.name}; {kind.remedy}"
    if _is_text(head):
        return (
            "not a Parquet file: it is text; `dreamfoundry make FILE prompts.parquet` makes one from lines, CSV or JSON"
        )
    return f"not a Parquet file ({reason}); `dreamfoundry make` makes one from text, CSV or JSONL"


def _is_text(head: bytes) -> bool:
    """True where a file begins with UTF-8, but for a character that is cut in two, and no control characters."""
    text = head.decode("utf-8", errors="ignore")
    return len(text.encode()) > len(head) - 4 and all(
        character.isprintable() or character.isspace() for character in text
    )


def _rare_types(file: Path, reason: str) -> str:
    """A sentence about columns that Arrow has no type for; "" where the footer cannot be read, or has none."""
    try:
        with file.open("rb") as opened:
            columns = read_footer(opened).columns
    except UNREADABLE:
        return ""
    plain = [column.name for column in columns if column.has_plain_bytes]
    if plain and "64 bits" in reason:
        return f"has integers of more than 64 bits in {first_few(plain)}; cast them to int64, or leave them out"
    strangers = [column.name for column in columns if column.name not in NAMES]
    if strangers:
        return f"cannot be read as a Parquet file ({reason}); write it again, without {first_few(strangers)}"
    return ""


def one_line(error: BaseException) -> str:
    """The message of an exception in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
