"""Kinds of sources, and the suffixes of their names."""

from __future__ import annotations

from typing import Literal

Kind = Literal["text", "csv", "tsv", "jsonl", "json"]

KINDS: dict[str, Kind] = {
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    "": "text",
}
"""Kind by suffix in lower case; a name without one (a pipe, standard input) is text."""
