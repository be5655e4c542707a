"""A prompt without a height gets that of the thing it is about."""

import tomllib
from collections import Counter
from importlib import resources

import pytest

from dreamfoundry.asset.gates.levels import MAX_SIDE_M, MIN_SIDE_M
from dreamfoundry.manifest.heights.typical import typical_height_m

TABLE = tomllib.loads(
    resources.files("dreamfoundry").joinpath("manifest", "heights", "heights.toml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    ("text", "height_m"),
    [
        ("a yellow chair", 0.9),
        ("A RED MUSHROOM", 0.1),
        ("two green cars", 1.5),
        ("wolves", 0.85),
        ("a bunch of strawberries", 0.04),
        ("wooden shelves", 1.0),
        ("three mice", 0.05),
        ("a glass", 0.14),
        ("a wine glass", 0.2),
        ("a coffee table", 0.45),
        ("a fish tank", 0.4),
        ("a chess king", 0.1),
        ("a doll's house", 0.8),
        ("a dog house", 0.9),
        ("a rocking horse", 0.8),
        ("a floor lamp", 1.6),
        ("a lamp", 0.5),
        ("a traffic light at night", 3.0),
    ],
)
def test_nouns_are_found_in_singular_and_plural_and_the_longest_counts(text: str, height_m: float) -> None:
    assert typical_height_m(text) == height_m


@pytest.mark.parametrize(
    ("text", "height_m"),
    [
        ("a chair with a mushroom on it", 0.9),
        ("a DSLR photo of a squirrel", 0.2),
        ("a 3D model of a house, low poly", 6.0),
        ("an orange house", 6.0),
        ("a pine table", 0.75),
        ("a knight riding a horse", 1.8),
        ("a red, old chair", 0.9),
        ("a well-made table", 0.75),
        ("a statue of a horse", 2.0),
    ],
)
def test_the_thing_is_the_last_noun_of_the_first_phrase_that_has_one(text: str, height_m: float) -> None:
    assert typical_height_m(text) == height_m


@pytest.mark.parametrize(
    ("text", "height_m"),
    [("a toy car", 0.2), ("a plush elephant", 0.35), ("a lego castle", 0.1), ("a wooden toy", 0.2)],
)
def test_a_toy_is_small_whatever_it_shows(text: str, height_m: float) -> None:
    assert typical_height_m(text) == height_m


@pytest.mark.parametrize(
    ("text", "height_m"),
    [
        ("a 3 m tall statue", 3.0),
        ("a statue, 45cm high", 0.45),
        ("a 6-foot-tall robot of 3 parts", 1.8288),
        ("a 2.5 metre high thing", 2.5),
        ("a 3 m long boat", 2.5),
        ("a 1,5 m tall chair", 1.5),
        ("a .5 m tall dog", 0.5),
        ("a 1,500 mm tall lamp", 1.5),
        ("a statue, 2.5 metres in height", 2.5),
        ("a two metre tall robot", 2.0),
        ("half a metre tall, a robot", 0.5),
        ("a 12 centimetre high box", 0.12),
        ("a figurine 3.4.5 m tall", 0.15),
        ("a robot, i am tall", 1.7),
    ],
)
def test_a_stated_height_counts_before_all_nouns(text: str, height_m: float) -> None:
    assert typical_height_m(text) == pytest.approx(height_m)


@pytest.mark.parametrize(
    ("text", "height_m"),
    [
        ("a house key", 0.07),
        ("a doll house", 0.8),
        ("a paper plane", 0.06),
        ("a bonsai tree", 0.4),
        ("a hot dog", 0.06),
        ("a chair made of wood", 0.9),
        ("a dog running", 0.6),
        ("a rocket launcher", None),
        ("a car tire on a table", None),
        ("a chess king piece", None),
        ("a giant mushroom", None),
        ("a tiny house", None),
    ],
)
def test_the_word_that_ends_a_phrase_is_the_thing(text: str, height_m: float | None) -> None:
    assert typical_height_m(text) == height_m


@pytest.mark.parametrize(
    "text", ["an orange sphere", "a pink torus", "стул", "椅子", "", "!!!", "a thing", "a carport"]
)
def test_what_the_table_does_not_know_has_no_height(text: str) -> None:
    assert typical_height_m(text) is None


def test_every_entry_is_found_by_its_own_words_and_stands_once() -> None:
    entries = [(words, height_m) for group in TABLE.values() for words, height_m in group.items()]

    assert len(entries) >= 150
    assert [words for words, number in Counter(words for words, _ in entries).items() if number > 1] == []
    assert [words for words, height_m in entries if typical_height_m(f"a {words}") != height_m] == []


def test_no_height_makes_a_thing_that_the_gate_of_sizes_refuses() -> None:
    """Also a thing five times as long as it is high, unless it is a tower."""
    heights = [height_m for group in TABLE.values() for height_m in group.values()]

    assert min(heights) >= MIN_SIDE_M * 3
    assert max(heights) * 5 <= MAX_SIDE_M
