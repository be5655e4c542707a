"""Texts: what shows nothing is empty, and characters that no text may have are refused."""

import json
from pathlib import Path

import pytest

from dreamfoundry.manifest.text import character_fault, first_few, is_blank, with_single_spaces
from support.manifests import refused_rows, sound_prompts, write_manifest
from support.sources import refusal

ZERO_WIDTH = [
    "\u200b",
    "\u200b\u200c\u200d",
    "\u2060",
    "\u00ad",
    "\u200e",
    "\ufe0f",
    "\u3164",
    "\u115f",
    "\u2800",
    "\u0301",
]
FORBIDDEN = {
    "a\x00chair": "control",
    "a \x1b[31mred chair": "control",
    "a chair\x7f": "control",
    "a \x9fchair": "control",
    "a red \ufeffchair": "byte order mark",
    "\ufeffa red chair": "byte order mark",
    "a red \u202echair": "bidirectional",
    "\u202da red chair\u202c": "bidirectional",
}
PYTHONS_SPACES = ["\x1c", "\x1d", "\x1e", "\x1f", "\x85"]
"""Controls that Python alone takes for white space."""

SOUND = [
    "a red chair",
    "ein Stuhl, grün",
    "赤い椅子",
    "كرسي أحمر",
    "\u200f\u05db\u05d9\u05e1\u05d0",
    "a 👨\u200d👩\u200d👧 family",
    "👍🏽",
    "a no\u00adbreak",
    "क्षि",
    "♥",
    "7",
]


def value_name(column: str) -> str:
    """The words for the value in a message: that of a list has its number."""
    return "tags[0]" if column == "tags" else column


@pytest.mark.parametrize("text", ZERO_WIDTH, ids=ascii)
def test_a_text_that_shows_nothing_is_empty(tmp_path: Path, text: str) -> None:
    assert is_blank(text)
    assert is_blank(f" {text} ")

    for column in ("prompt", "negative_prompt", "tags"):
        value = [text] if column == "tags" else text
        (message,) = refused_rows(write_manifest(tmp_path / "m.parquet", **{column: [value]}))
        assert f"{value_name(column)} = {text!r}: must not be empty: its characters show nothing" in message


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u2003\u00a0"], ids=ascii)
def test_a_text_of_spaces_is_empty(tmp_path: Path, text: str) -> None:
    assert is_blank(text)
    (message,) = refused_rows(write_manifest(tmp_path / "m.parquet", prompt=[text]))

    assert message == f"row 0 (row-0): prompt = {text!r}: must not be empty"


@pytest.mark.parametrize("text", ["nan", "None", "NULL", " <NA> ", "n/a", "#N/A", "undefined"])
def test_what_programs_write_for_no_value_is_no_text(tmp_path: Path, text: str) -> None:
    for column, cell, remedy in (
        ("prompt", text, "say what to make, or remove the row"),
        ("negative_prompt", text, "leave it out"),
        ("view_prompts", f'{{"back": "{text}"}}', "leave it out"),
    ):
        (message,) = refused_rows(write_manifest(tmp_path / "m.parquet", **{column: [cell]}))
        assert message.endswith(f" = {text!r}: is what programs write for no value: {remedy}")


@pytest.mark.parametrize("control", PYTHONS_SPACES, ids=ascii)
def test_controls_that_python_takes_for_white_space_are_refused(tmp_path: Path, control: str) -> None:
    texts = [f"a{control}chair", f"a chair{control}", f"{control}a chair", f"a {control} chair", f" {control} "]
    messages = refused_rows(write_manifest(tmp_path / "m.parquet", prompt=texts))

    assert [message.rpartition(": ")[2] for message in messages[:4]] == ["must not contain control characters"] * 4
    assert messages[4].endswith("must not be empty: its characters show nothing")
    assert all(ascii(control)[1:-1] in message for message in messages)


@pytest.mark.parametrize("control", PYTHONS_SPACES, ids=ascii)
@pytest.mark.parametrize(
    ("name", "head", "tail"), [("p.txt", "", ""), ("p.csv", "prompt\n", ""), ("p.jsonl", "{", "}")]
)
def test_they_are_refused_in_sources_too(tmp_path: Path, control: str, name: str, head: str, tail: str) -> None:
    line = f"a chair{control}" if name != "p.jsonl" else f'"prompt": {json.dumps(f"a chair{control}")}'

    assert "must not contain control characters" in refusal(tmp_path, name, f"{head}{line}{tail}\n")


@pytest.mark.parametrize("text", FORBIDDEN, ids=ascii)
def test_a_character_that_no_text_may_have_costs_the_row(tmp_path: Path, text: str) -> None:
    for column in ("prompt", "negative_prompt", "tags"):
        value = [text] if column == "tags" else text
        (message,) = refused_rows(write_manifest(tmp_path / "m.parquet", **{column: [value]}))

        assert f"row 0 (row-0): {value_name(column)} = " in message
        assert FORBIDDEN[text] in message


@pytest.mark.parametrize("text", SOUND, ids=ascii)
def test_texts_of_the_world_are_sound(tmp_path: Path, text: str) -> None:
    assert not is_blank(text)
    assert character_fault(text) == ""

    (prompt,) = sound_prompts(write_manifest(tmp_path / "m.parquet", prompt=[text]))
    assert prompt.text == with_single_spaces(text)


def test_half_a_character_is_no_text() -> None:
    assert "lone surrogate" in character_fault("a \ud83d chair")


def test_white_space_is_made_single_and_accents_are_composed() -> None:
    assert with_single_spaces("  a\u00a0red\n\tcafe\u0301 ") == "a red café"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], ""),
        (["a", "b"], "a, b"),
        (["x" * 81], "x" * 80 + "…"),
        ([str(number) for number in range(3000)], ", ".join(map(str, range(20))) + " and 2,980 more"),
    ],
)
def test_of_many_names_the_first_are_told(names: list[str], told: str) -> None:
    assert first_few(names) == told
