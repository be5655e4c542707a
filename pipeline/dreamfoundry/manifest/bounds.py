"""Bounds of a manifest, checked in footers and Arrow buffers before a value becomes a Python object.

Compression makes a gigabyte of a few bytes, so the size of a file says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from dreamfoundry.manifest.footer import Chunk, Footer

MAX_ROWS = 10_000_000
"""Rows of a manifest, over all parts."""

MAX_BAD_ROWS = 250_000
"""Rows that may be refused one by one; beyond, the manifest as a whole is no manifest."""

MAX_TEXT_BYTES = 16 * 2**10
"""Bytes of a text as UTF-8, before white space is made single."""

MAX_TAG_BYTES = 4 * 2**10
"""Bytes of each tag as UTF-8."""

MAX_JSON_BYTES = 64 * 2**10
"""Bytes of a JSON object as UTF-8."""

MAX_TAGS = 64
"""Tags of a row."""

JSON_COLUMNS = frozenset({"recipe_overrides", "view_prompts"})
"""Columns of JSON objects, as text."""

_MAX_CHUNK_BYTES = 512 * 2**20
_SPARE_CHUNK_BYTES = 32 * 2**20
_SPARE_TAGS = 10_000_000


def max_bytes(column: str) -> int:
    """Bytes that one text of the column may have."""
    if column in JSON_COLUMNS:
        return MAX_JSON_BYTES
    return MAX_TAG_BYTES if column == "tags" else MAX_TEXT_BYTES


def footer_faults(footer: Footer, leaves: list[str]) -> Iterator[str]:
    """Reasons why a file with this footer cannot be read, or only with too much memory.

    `leaves` has for each column chunk the manifest's column that it belongs to, "" for a stranger. A row over its bound
    costs that row only, as long as the group around it is small enough to be read.
    """
    chunks = [pair for group in footer.groups for pair in zip(leaves, group.chunks, strict=True)]
    encrypted = dict.fromkeys(repr(name) for name, chunk in chunks if name and chunk.is_encrypted)
    if encrypted:
        yield f"columns are encrypted, without a key here: {', '.join(encrypted)}; write them without encryption"
    for number, group in enumerate(footer.groups):
        for name, chunk in zip(leaves, group.chunks, strict=True):
            if name and not chunk.is_encrypted:
                where = f"column {name!r} has {{}} in the {group.num_rows} rows of row group {number}: must be at most"
                yield from _chunk_faults(chunk, name, group.num_rows, where)


def _chunk_faults(chunk: Chunk, name: str, num_rows: int, where: str) -> Iterator[str]:
    bytes_per_row = max_bytes(name) * (MAX_TAGS if name == "tags" else 1)
    most_bytes = min(_MAX_CHUNK_BYTES, _SPARE_CHUNK_BYTES + num_rows * bytes_per_row)
    if chunk.num_bytes > most_bytes:
        size = f"{chunk.num_bytes / 2**20:.0f} MiB"
        yield (
            f"{where.format(size)} {most_bytes / 2**20:.0f} MiB; shorten its values, or write row groups of 2000 rows"
        )
    if name == "tags" and chunk.num_values > _SPARE_TAGS + num_rows * MAX_TAGS:
        yield f"{where.format(f'{chunk.num_values} values')} {MAX_TAGS} in a row"

    # a reader stops at the rows that the footer promises, and drops the rest without a word
    if name != "tags" and chunk.num_values > num_rows:
        yield f"its footer is damaged: {where.format(f'{chunk.num_values} values')} {num_rows}; write the file again"
