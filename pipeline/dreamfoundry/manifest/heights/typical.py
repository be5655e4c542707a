"""Height of the thing that a prompt is about, from a table of nouns; nothing is learned and nothing is guessed.

A height that the prompt states ("a 3 m tall statue") is taken. Else the prompt is cut into phrases at prepositions,
conjunctions and punctuation. The first phrase with a noun of the table decides, and in it the last word, which is
what English calls the thing: "a house key" is a key, "a chair with a red cushion" a chair, "a photo of a dog" a dog.
Of several entries that end there the longest counts. Where another word than a participle follows the noun, the thing
is one that the table does not know ("a rocket launcher"); nor does it know the size of what is said to be huge or tiny.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

_SMALLER = "smaller"
_MAX_WORDS = 3
_CUT = re.compile(
    r"[^a-z' -]|\b(?:about|above|among|and|as|at|behind|below|beside|by|for|from|holding|in|inside|into|like|"
    r"near|next|of|on|or|over|riding|sitting|standing|that|to|under|wearing|which|who|with|without)\b"
)
_WORD = re.compile(r"[a-z]+")
_PARTICIPLE = re.compile(r"made|\w+(?:ed|ing)")
_UNUSUAL = re.compile(r"\b(?:colossal|enormous|giant|gigantic|huge|massive|microscopic|oversized|tiny)\b")

_NUMBERS = {
    **{"half a": 0.5, "a": 1.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0},
    **{"six": 6.0, "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0},
}
_METRES_BY_UNIT = {
    "mm|millimet(?:er|re)s?": 0.001,
    "cm|centimet(?:er|re)s?": 0.01,
    "m|met(?:er|re)s?": 1.0,
    "in|inch(?:es)?": 0.0254,
    "ft|foot|feet": 0.3048,
}
_STATED = re.compile(
    r"(?<![\w.,])(?:(?P<digits>\d{1,3}(?:,\d{3})+|\d+[.,]\d+|\d*\.?\d+)[ -]{0,2}"
    rf"|(?P<word>{'|'.join(_NUMBERS)})[ -])"
    rf"(?P<unit>{'|'.join(_METRES_BY_UNIT)})(?:[ -](?:high|tall)|,? in height)\b"
)


class _Table(NamedTuple):
    """Heights in metres by words: of things, and of words that make any thing small."""

    things: Mapping[tuple[str, ...], float]
    smaller: Mapping[tuple[str, ...], float]


def typical_height_m(text: str) -> float | None:
    """The height in metres of the thing that `text` is about, None where neither text nor table knows it."""
    text = text.lower()
    if stated := _STATED.search(text):
        return _number(stated) * _metres(stated["unit"])
    if _UNUSUAL.search(text):
        return None

    for phrase in _CUT.split(text):
        words = _WORD.findall(phrase)
        small, thing = _last_known(words, _table().smaller), _last_known(words, _table().things)
        if small:
            return small.height_m
        if thing:
            return thing.height_m if all(map(_PARTICIPLE.fullmatch, words[thing.end :])) else None
    return None


def _number(stated: re.Match[str]) -> float:
    """The number in words or digits; a comma before three digits groups thousands, another one is a decimal point."""
    if stated["word"]:
        return _NUMBERS[stated["word"]]
    return float(re.sub(r",(?=\d{3})", "", stated["digits"]).replace(",", "."))


def _metres(unit: str) -> float:
    return next(metres for form, metres in _METRES_BY_UNIT.items() if re.fullmatch(form, unit))


class _Found(NamedTuple):
    height_m: float
    end: int
    """Number of words up to the last of the entry."""


def _last_known(words: Sequence[str], known: Mapping[tuple[str, ...], float]) -> _Found | None:
    """The last entry in `words`, the longest where several end together."""
    for end in range(len(words), 0, -1):
        for start in range(max(0, end - _MAX_WORDS), end):
            for last in _singulars(words[end - 1]):
                height_m = known.get((*words[start : end - 1], last))
                if height_m is not None:
                    return _Found(height_m, end)
    return None


def _singulars(word: str) -> list[str]:
    """`word` and what it may be the plural of."""
    forms = [word]
    if word.endswith("s"):
        forms.append(word[:-1])
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("ies"):
        forms.append(f"{word[:-3]}y")
    if word.endswith("ves"):
        forms += [f"{word[:-3]}f", f"{word[:-3]}fe"]
    return forms


@cache
def _table() -> _Table:
    text = resources.files("dreamfoundry").joinpath("manifest", "heights", "heights.toml").read_text(encoding="utf-8")
    groups = tomllib.loads(text)
    smaller = {tuple(words.split()): height for words, height in groups.pop(_SMALLER).items()}
    return _Table({tuple(words.split()): h for group in groups.values() for words, h in group.items()}, smaller)
