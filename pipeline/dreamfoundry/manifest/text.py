"""Texts of a manifest where they enter: white space, and characters that no prompt may have."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_MOST_NAMES = 20
_MOST_CHARS = 80
_WHITE_SPACE = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_GAP = re.compile(f"[{_WHITE_SPACE}]+")
_PYTHONS_SPACE = re.compile("[\u001c-\u001f\u0085]")
"""Controls that `str.split` and `str.strip` take for white space. The last is what becomes of an ellipsis on the way
from Windows-1252, so they are refused as other controls are."""

ABSENT = "is what programs write for no value"
"""A rule; what would work stands behind it."""

_ABSENT = frozenset({"none", "null", "nan", "<na>", "n/a", "#n/a", "undefined"})
_MAX_ABSENT_CHARS = 32

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that show nothing."""

_BLANK_CATEGORIES = frozenset({"Cf", "Cc", "Mn", "Me", "Mc", "Zs", "Zl", "Zp"})
"""Formats, controls, marks without a letter, spaces."""


def with_single_spaces(text: str) -> str:
    """`text` in NFC, without white space around it, and with single spaces within."""
    words = _GAP.split(stripped(text)) if _PYTHONS_SPACE.search(text) else text.split()
    return unicodedata.normalize("NFC", " ".join(words))


def stripped(text: str) -> str:
    """`text` without white space around it."""
    if _PYTHONS_SPACE.search(text) is None:
        return text.strip()
    return re.sub(f"^[{_WHITE_SPACE}]+|[{_WHITE_SPACE}]+$", "", text)


def is_blank(text: str) -> bool:
    """True if nothing of `text` would be seen: it is empty, or of zero width."""
    if text.isascii():
        return not text.strip()
    return all(char in _BLANK or unicodedata.category(char) in _BLANK_CATEGORIES for char in text)


def is_absent(text: str) -> bool:
    """True for what programs write in place of no value (nan, None, NULL): nobody wants it in 3D."""
    return len(text) <= _MAX_ABSENT_CHARS and text.strip().casefold() in _ABSENT


def character_fault(text: str) -> str:
    """The rule that a character of `text` breaks, "" if none."""
    if text.isascii() and text.isprintable():  # nearly all: categories are slow
        return ""
    categories = {unicodedata.category(char) for char in text}
    if "Cc" in categories:
        return "must not contain control characters"
    if "Cs" in categories:
        return "must not contain half a character (a lone surrogate)"
    if "\ufeff" in text:
        return "must not contain a byte order mark (U+FEFF, left where files were joined): remove it"
    if "\u202d" in text or "\u202e" in text:
        return "must not contain bidirectional overrides (U+202D, U+202E), which show another text than there is"
    return ""


def first_few(names: Sequence[str]) -> str:
    """The first names, separated by commas and cut where they are long, and the number of all others."""
    told = [name if len(name) <= _MOST_CHARS else f"{name[:_MOST_CHARS]}…" for name in names[:_MOST_NAMES]]
    return ", ".join(told) + (f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else "")
