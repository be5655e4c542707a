"""Names of columns as people and programs write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from dreamfoundry.manifest.row import NAMES
from dreamfoundry.manifest.sources.reading import shown

_SHOWN_NAMES = 20


def column_of(name: str) -> str | None:
    """The column that `name` means, whatever its case and blanks ("Prompt ID", " seed"); None for no column."""
    plain = _plain(name)
    return plain if plain in NAMES else None


def unread(names: Iterable[str]) -> str:
    """A warning about columns that nobody reads, with those that may be misspelt: "" for none."""
    known = list(dict.fromkeys(names))
    told = [f"{_name(name)}{meant(name)}" for name in known[:_SHOWN_NAMES]]
    more = f" and {len(known) - len(told)} more" if len(known) > len(told) else ""
    return f"columns that are not read: {', '.join(told)}{more}" if told else ""


def meant(name: str) -> str:
    """ " (is 'seed' meant?)" for a name that is nearly one of ours, else ""."""
    close = get_close_matches(_plain(name), sorted(NAMES), n=1, cutoff=0.7)
    return f" (is {close[0]!r} meant?)" if close else ""


def _plain(name: str) -> str:
    return re.sub(r"[ _-]+", "_", name[:100].strip().casefold())


def _name(name: str) -> str:
    """A name as it is where that can be read; pandas writes its index under no name at all."""
    if not name.strip():
        return "one without a name (pandas: to_csv(index=False))"
    return name if name.isprintable() and len(name) <= 40 else shown(name)
