"""Captions stay within the vocabulary, and prompts are read by the same words."""

import random

import pytest

from dreamfoundry.toybox.captions import (
    COLORS,
    KINDS,
    VOCABULARY,
    color_of,
    held_out_pairs,
    kind_of,
    training_caption,
    unknown_words,
    words_of,
)


def test_there_are_enough_kinds_and_colors() -> None:
    assert len(KINDS) >= 16
    assert len(COLORS) >= 10


def test_fifteen_percent_of_the_pairs_are_held_out_and_no_row_or_column_is_lost() -> None:
    held_out = held_out_pairs()

    assert len(held_out) / (len(KINDS) * len(COLORS)) == pytest.approx(0.15, abs=0.005)
    assert max(sum(kind == k for _, kind in held_out) for k in KINDS) <= 2
    assert max(sum(color == c for color, _ in held_out) for c in COLORS) <= 5


def test_captions_use_only_words_of_the_vocabulary() -> None:
    rng = random.Random(0)
    captions = [
        training_caption("red", rng.choice(list(KINDS)), "front", "white", textureless=bool(i % 2), rng=rng)
        for i in range(500)
    ]

    assert not {word for caption in captions for word in unknown_words(caption)}
    assert any(caption == "white background" for caption in captions)


def test_every_word_stands_once_in_the_vocabulary() -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_unknown_words_are_named_once_and_in_order() -> None:
    assert unknown_words("a shiny red dragon, a shiny cube") == ["shiny", "dragon"]


def test_kind_and_color_are_read_from_synonyms_too() -> None:
    assert (kind_of("a small teal couch"), color_of("a small teal couch")) == ("sofa", None)
    assert (kind_of("one pink donut"), color_of("one pink donut")) == ("torus", "pink")


def test_words_are_split_at_commas_like_the_tokenizer_does() -> None:
    assert words_of("A red cube,front view") == ["a", "red", "cube", ",", "front", "view"]
