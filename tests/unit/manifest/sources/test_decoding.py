"""Bytes become text only where their encoding is known; no letter is guessed."""

import codecs
import re
from pathlib import Path

import pytest

from support.sources import faults, prompts, refusal

SAVE = 'save the file as UTF-8 (in Excel: "CSV UTF-8")'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_that_says_so_is_read(tmp_path: Path, encoding: str) -> None:
    assert [prompt.text for prompt in prompts(tmp_path, "p.txt", "a café\n红色的椅子\n🚀\n".encode(encoding))] == [
        "a café",
        "红色的椅子",
        "🚀",
    ]


@pytest.mark.parametrize(("mark", "encoding"), [(codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_BE, "utf-32-be")])
def test_either_order_of_bytes_is_read(tmp_path: Path, mark: bytes, encoding: str) -> None:
    content = mark + "Prompt\tSeed\r\na mug\t7\r\n".encode(encoding)

    assert [(prompt.text, prompt.seed) for prompt in prompts(tmp_path, "p.tsv", content)] == [("a mug", 7)]


@pytest.mark.parametrize("name", ["p.txt", "p.csv", "p.jsonl"])
def test_byte_order_marks_of_joined_files_are_no_part_of_a_prompt(tmp_path: Path, name: str) -> None:
    line = {"p.txt": "a {}", "p.csv": "a {},", "p.jsonl": '{{"prompt": "a {}"}}'}[name]
    head = "\ufeffprompt,seed\n" if name == "p.csv" else ""
    content = f"{head}\ufeff{line.format('mug')}\n{head}\ufeff\ufeff{line.format('car')}\n"

    assert [prompt.text for prompt in prompts(tmp_path, name, content)] == ["a mug", "a car"]


def test_every_line_of_another_encoding_is_named_with_its_byte(tmp_path: Path) -> None:
    content = b"a mug\na caf\xe9 table\r\na car\n\x81\n"

    assert faults(tmp_path, "p.txt", content) == [
        f"p.txt, line 2: byte 6, 0xE9, is not UTF-8 (in Windows-1252 it is 'é'): {SAVE}",
        f"p.txt, line 4: byte 1, 0x81, is not UTF-8: {SAVE}",
    ]


@pytest.mark.parametrize("name", ["p.txt", "p.csv", "p.tsv", "p.jsonl", "p.json"])
def test_other_encodings_are_refused_in_every_kind(tmp_path: Path, name: str) -> None:
    found = faults(tmp_path, name, "prompt\na café\n".encode("latin-1"))

    assert f"{name}, line 2: byte 6, 0xE9, is not UTF-8 (in Windows-1252 it is 'é'): {SAVE}" in found


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("p.csv", b"prompt,seed\na caf\xe9,7\na car,x\n,8\na hat,9,9\n", [2, 3, 4, 5]),
        ("p.csv", b"prompt,seed\na caf\xe9,x\na car,7\n", [2, 2]),
        ("p.tsv", b"prompt\tseed\na car\tx\na caf\xe9\t7\n", [2, 3]),
        ("p.txt", b"a caf\xe9\na \x1b car\na car\n", [1, 2]),
        ("p.jsonl", b'{"prompt": "a caf\xe9"}\n{"prompt": 7}\n{\n', [1, 2, 3]),
    ],
)
def test_a_line_of_another_encoding_hides_no_other_fault(
    tmp_path: Path, name: str, content: bytes, lines: list[int]
) -> None:
    found = faults(tmp_path, name, content)

    assert [int(re.split("[ :]", fault.removeprefix(f"{name}, line "))[0]) for fault in found] == lines


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_named(tmp_path: Path, encoding: str) -> None:
    assert refusal(tmp_path, "p.txt", "a mug\n".encode(encoding)) == (
        f"p.txt: looks like UTF-16 without a byte order mark: {SAVE}"
    )


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (codecs.BOM_UTF16_LE + b"a\0b", "UTF-16"),  # half a unit
        (codecs.BOM_UTF16_LE + b"\x3d\xd8a\0", "UTF-16"),  # half a character
        (codecs.BOM_UTF32_LE + b"\xff\xff\xff\xff", "UTF-32"),
    ],
)
def test_broken_unicode_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    assert f"is {name} with broken characters from byte" in refusal(tmp_path, "p.txt", content)
