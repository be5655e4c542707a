"""The words toybox was trained on, and the captions made of them."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from types import MappingProxyType

from dreamfoundry.settings.prior import BACKGROUND_LEVELS

COLORS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "red": (0.85, 0.10, 0.10),
        "orange": (0.96, 0.50, 0.06),
        "yellow": (0.95, 0.85, 0.10),
        "lime": (0.55, 0.85, 0.15),
        "green": (0.10, 0.50, 0.16),
        "cyan": (0.10, 0.75, 0.80),
        "blue": (0.12, 0.24, 0.85),
        "purple": (0.48, 0.14, 0.66),
        "pink": (0.96, 0.52, 0.72),
        "brown": (0.45, 0.26, 0.12),
    }
)
"""Palette: name -> display-referred sRGB in [0, 1]."""

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "chair": ("seat",),
        "table": ("desk",),
        "sofa": ("couch",),
        "mushroom": ("toadstool",),
        "tree": ("fir",),
        "house": ("cottage",),
        "car": ("automobile",),
        "rocket": ("spaceship",),
        "mug": ("cup",),
        "barrel": ("cask",),
        "snowman": ("snowmen",),
        "dumbbell": ("barbell",),
        "torus": ("ring", "donut"),
        "cube": ("block", "box"),
        "sphere": ("ball",),
        "cone": ("pylon",),
        "cylinder": ("pillar",),
        "lamp": ("lantern",),
    }
)
"""Kinds of toys and the synonyms that captions use for them."""

OPENINGS = ("a", "a small", "a toy", "one", "the")

_FILLERS = ("a", "an", "one", "the", "small", "toy", "untextured", "view", "background", "on")
_VIEW_WORDS = ("front", "side", "back", "overhead")
_LATER_VIEW_WORDS = ("left", "right", "low", "level", "raised", "high")

VOCABULARY: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *_FILLERS,
            ",",
            *_VIEW_WORDS,
            *BACKGROUND_LEVELS,
            *COLORS,
            *(word for kind, synonyms in KINDS.items() for word in (kind, *synonyms)),
            *_LATER_VIEW_WORDS,  # last, because the ids before them belong to earlier weights
        )
    )
)
"""Every word of the tokenizer, in the order of its ids (after the special tokens)."""


def held_out_pairs() -> frozenset[tuple[str, str]]:
    """The 15 % of (color, kind) pairs that training never sees, spread over rows and columns."""
    colors = list(COLORS)
    pairs = {(colors[(3 * index + 1) % len(colors)], kind) for index, kind in enumerate(KINDS)}
    pairs |= {(colors[(3 * index + 6) % len(colors)], kind) for index, kind in enumerate(KINDS) if index % 2 == 0}
    return frozenset(pairs)


def words_of(text: str) -> list[str]:
    """Lower-case words and commas, as the tokenizer splits them."""
    return re.findall(r"[^\s,]+|,", text.lower())


def unknown_words(text: str) -> list[str]:
    """Words of `text` that toybox was never trained on, in order, each once."""
    return list(dict.fromkeys(word for word in words_of(text) if word not in VOCABULARY))


def kind_of(text: str) -> str | None:
    """The kind that a prompt names, by itself or by a synonym."""
    words = words_of(text)
    return next((kind for kind, synonyms in KINDS.items() if any(w in words for w in (kind, *synonyms))), None)


def color_of(text: str) -> str | None:
    """The palette colour that a prompt names first."""
    return next((word for word in words_of(text) if word in COLORS), None)


def training_caption(
    color: str, kind: str, view: str, background: str, *, textureless: bool, rng: random.Random
) -> str:
    """A caption for one training picture: mostly complete, sometimes with a part left out.

    With 12 % only the background is named: that is the unconditional branch, which keeps the
    background so that guidance does not push it.
    """
    ending = f"{background} background"
    draw = rng.random()
    if draw < 0.12:
        return ending
    noun = kind if rng.random() < 0.75 else rng.choice(KINDS[kind])
    opening = rng.choice(OPENINGS) if rng.random() < 0.4 else "a"
    words = [opening, *(["untextured"] if textureless else []), color, noun]
    if draw < 0.16:
        words.remove(color)
    elif draw < 0.20:
        words[-1] = "toy"
    subject = " ".join(words)
    return f"{subject}, {ending}" if draw > 0.94 else f"{subject}, {view} view, {ending}"
