"""Ids come from words and stay when lines come and go; rows that are equal are one prompt."""

from pathlib import Path

import pytest

from dreamfoundry.manifest.sources.prompt_ids import words_id
from support.sources import faults, prompts, warnings

LONG = "a highly detailed photorealistic render of a weathered wooden chair with brass fittings"


def ids(folder: Path, name: str, content: str) -> dict[str, str]:
    """Prompt by id."""
    return {prompt.prompt_id: prompt.text for prompt in prompts(folder, name, content)}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a red mushroom", "a_red_mushroom"),
        ("  A Red   Mushroom! ", "a_red_mushroom"),
        ("a café table", "a_cafe_table"),
        ("3 chairs", "a_3_chairs"),
        ("a “quoted” chair – old", "a_quoted_chair_old"),
    ],
)
def test_words_are_a_name(text: str, name: str) -> None:
    assert words_id(text) == name


@pytest.mark.parametrize("text", ["红色的椅子", "كرسي", "!!!", "🚀", LONG, "a 红 chair", "a chair 🚀", "Straße", "🍄"])
def test_words_that_do_not_fit_into_a_name_get_a_digest(text: str) -> None:
    name, _, digest = words_id(text).rpartition("-")

    assert len(digest) == 8
    assert len(name) <= 46
    assert words_id(text) == words_id(f" {text}  ")
    assert words_id(text) != words_id(f"{text}红")


def test_long_prompts_that_begin_alike_have_names_of_their_own(tmp_path: Path) -> None:
    lines = [f"{LONG} number {number}" for number in range(50)]
    forward, backward = (ids(tmp_path, "p.txt", "\n".join(order)) for order in (lines, lines[::-1]))

    assert len(forward) == 50
    assert forward == backward


@pytest.mark.parametrize("added", ["a green hat", "红色的椅子", "a red", "# a comment", LONG])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_42_ids_stay_when_a_line_is_added(tmp_path: Path, added: str, at: int) -> None:
    lines = ["a red mushroom", "椅子", "a blue rocket", f"{LONG}!"]
    before = ids(tmp_path, "p.txt", "\n".join(lines))
    after = ids(tmp_path, "p.txt", "\n".join([*lines[:at], added, *lines[at:]]))

    assert before.items() <= after.items()


def test_only_repetitions_are_numbered(tmp_path: Path) -> None:
    content = "prompt,seed\na mug,\na mug,1\na car,\nA mug!,\na mug,2\n"

    assert ids(tmp_path, "p.csv", content) == {
        "a_mug": "a mug",
        "a_mug-2": "a mug",
        "a_car": "a car",
        "a_mug-3": "A mug!",
        "a_mug-4": "a mug",
    }


def test_an_id_that_was_given_is_not_taken_by_words(tmp_path: Path) -> None:
    content = "prompt_id,prompt\n,a mug\na_mug,a car\n,a hat\n,A hat\na_hat-2,a shoe\n"

    assert ids(tmp_path, "p.csv", content) == {
        "a_mug-2": "a mug",
        "a_mug": "a car",
        "a_hat": "a hat",
        "a_hat-3": "A hat",
        "a_hat-2": "a shoe",
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "a mug\na car\n  a  mug \n"),
        ("p.csv", "prompt,seed\na mug,\na car,\na mug,0\n"),
        ("p.csv", "prompt_id,prompt\na,a mug\nb,a car\na,a mug\n"),
        ("p.csv", "prompt_id,prompt\na_mug,a mug\nb,a car\n,a mug\n"),
        ("p.jsonl", '{"prompt": "a mug"}\n{"prompt": "a car"}\n{"prompt": "a mug", "tags": []}\n'),
    ],
)
def test_equal_rows_are_one_prompt_and_that_is_told(tmp_path: Path, name: str, content: str) -> None:
    assert len(prompts(tmp_path, name, content)) == 2
    first, again = (2, 4) if name == "p.csv" else (1, 3)
    told = f"{name}, line {again} repeats {name}, line {first}: equal rows are one prompt"
    assert warnings(tmp_path, name, content) == [told]


def test_many_repetitions_are_counted(tmp_path: Path) -> None:
    (told,) = warnings(tmp_path, "p.txt", "a mug\n" * 1000)

    assert told == "p.txt, line 2 repeats p.txt, line 1, and 998 more rows repeat others: equal rows are one prompt"


def test_two_ids_may_have_one_prompt(tmp_path: Path) -> None:
    assert ids(tmp_path, "p.csv", "prompt_id,prompt\na,a mug\nb,a mug\n,a mug\n").keys() == {"a", "b", "a_mug"}


def test_one_id_with_two_prompts_is_a_fault_of_every_later_line(tmp_path: Path) -> None:
    content = "prompt_id,prompt\na,a mug\na,a car\nb,x\na,a hat\n"

    rule = "prompt_id stands in p.csv, line 2 too, with other content: give each prompt an id of its own"
    assert faults(tmp_path, "p.csv", content) == [f"p.csv, line 3 (a): {rule}", f"p.csv, line 5 (a): {rule}"]


def test_thousands_of_seeds_of_one_prompt_are_named_in_seconds(tmp_path: Path) -> None:
    content = "prompt,seed\n" + "".join(f"a mug,{seed}\n" for seed in range(5_000))

    assert len(ids(tmp_path, "p.csv", content)) == 5_000
