"""Lines of text become prompts as they stand; what is a table instead is refused, not read as lines."""

from pathlib import Path

import pytest

from dreamfoundry.manifest.writer import make_manifest
from support.sources import prompts, read, refusal, warnings, write

LISTS = '{\n  "dreamfusion": [\n    "a shiba inu",\n    "a corgi"\n  ],\n  "magic3d": ["a car"]\n}\n'


def texts(folder: Path, content: str | bytes) -> list[str]:
    return [prompt.text for prompt in prompts(folder, "prompts.txt", content)]


def test_lines_are_prompts_and_empty_ones_and_comments_are_not(tmp_path: Path) -> None:
    assert texts(tmp_path, "# toys\na red mushroom\n\n   \n  a Blue rocket \n") == ["a red mushroom", "a Blue rocket"]


@pytest.mark.parametrize(
    ("content", "num_comments"),
    [("a mug\n", 0), ("# toys\na mug\n", 1), ("#1 a hat\n\n  # cars\na mug #2\n#\n", 3)],
)
def test_comments_are_counted(tmp_path: Path, content: str, num_comments: int) -> None:
    made = make_manifest([write(tmp_path, "prompts.txt", content)] * 2, str(tmp_path / "m.parquet"))

    assert made.num_comments == 2 * num_comments


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_end_of_line_ends_a_line(tmp_path: Path, end: str) -> None:
    assert texts(tmp_path, end.join(["a mug", "", "a car"])) == ["a mug", "a car"]


def test_ends_of_lines_may_be_mixed_and_others_are_none(tmp_path: Path) -> None:
    content = "a mug\r\na car\ra hat\na caf\u00e9\u2028table"

    assert texts(tmp_path, content) == ["a mug", "a car", "a hat", "a café table"]


@pytest.mark.parametrize("line", ["A Red Chair!", "a 3:4 model, i.e. a toy", "chair; table | lamp", "a mug #1"])
def test_punctuation_is_taken_as_it_is(tmp_path: Path, line: str) -> None:
    assert texts(tmp_path, line) == [line]


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ('"a mug"', "is in quotes, which become part of the prompt"),
        ("“a mug”", "is in quotes, which become part of the prompt"),
        ("1. a mug", "begins with a number, which becomes part of the prompt"),
        ("(12) a mug", "begins with a number, which becomes part of the prompt"),
        ("- a mug", "begins with a list mark, which becomes part of the prompt"),
        ("• a mug", "begins with a list mark, which becomes part of the prompt"),
        ("a mug\tTools", "has tabs, which become blanks: is it a table (--from tsv)?"),
    ],
)
def test_marks_of_a_list_stay_and_are_told(tmp_path: Path, line: str, remark: str) -> None:
    content = f"a car\n{line}\n{line.replace('mug', 'hat')}\n"

    assert line.replace("\t", " ") in texts(tmp_path, content)
    told = f"prompts.txt: line 2 and 1 more {remark}"
    assert warnings(tmp_path, "prompts.txt", content) == [told]


@pytest.mark.parametrize("line", ["3 chairs", "a well-known mug", "the 'best' chair", "2.5 metres of rope"])
def test_what_only_resembles_such_a_mark_is_not_told(tmp_path: Path, line: str) -> None:
    assert warnings(tmp_path, "prompts.txt", line) == []


@pytest.mark.parametrize(
    ("content", "flag"),
    [
        (LISTS, "json"),
        ('[{"prompt": "a mug"}]', "json"),
        ('["a mug",\n "a car"]', "json"),
        ("[\n  broken", "json"),
        ('{"prompt": "a mug"}\n{"prompt": "a car"}\n', "jsonl"),
        ("prompt_id,prompt\na,a mug\n", "csv"),
        ("\n Prompt;Seed\na mug;7\n", "csv"),
        ("Prompt\tCategory\tChallenge\na mug\tArtifacts\tBasic\n", "tsv"),
    ],
)
def test_a_table_is_refused_with_the_flag_that_reads_it(tmp_path: Path, content: str, flag: str) -> None:
    for name in ("prompts.txt", "prompts"):
        message = refusal(tmp_path, name, content)
        assert f"name it .{flag}, or say --from {flag}" in message
        assert "--from text" in message


@pytest.mark.parametrize(
    ("content", "divided"),
    [
        ("a red chair,wood,7\na blue car,metal,8\na hat,felt,9\n", "commas divide each of its lines into 3"),
        ("id,text\n1,a red chair\n2,a blue car\n", "commas divide each of its lines into 2"),
        ("a red chair;wood\na blue car;metal\n", "semicolons divide each of its lines into 2"),
        ("# toys\n\nname;beschreibung\n1;a red chair\n2;a blue car\n", "semicolons divide each of its lines into 2"),
        ("a red chair\twood\na blue car\tmetal\n", "tabs divide each of its lines into 2"),
        ("| a | b |\n|---|---|\n| a mug | 7 |\n", "bars divide each of its lines into 4"),
    ],
)
def test_a_table_without_a_known_header_is_refused_with_what_would_work(
    tmp_path: Path, content: str, divided: str
) -> None:
    message = refusal(tmp_path, "prompts.txt", content)

    assert f"looks like a table: {divided}; name it .csv and put a line of names above" in message
    assert message.endswith("--from text")
    assert read(tmp_path, "prompts.txt", content, "text").rows


def test_prose_that_commas_divide_alike_is_read_and_told(tmp_path: Path) -> None:
    content = "a red, old chair\na blue, shiny car\na soft, black hat\n"

    assert len(texts(tmp_path, content)) == 3
    (told,) = warnings(tmp_path, "prompts.txt", content)
    assert "commas divide each of its lines into 2, and stay in the prompts; if it is a table" in told


@pytest.mark.parametrize(
    "content",
    [
        "a red, old chair\na mug\n",
        "a red, old chair\na blue, shiny car\n",
        "a chair; a table\na mug\n",
        "a mug, 1\na, b, c\n",
    ],
)
def test_prose_that_is_divided_unlike_is_no_news(tmp_path: Path, content: str) -> None:
    assert warnings(tmp_path, "prompts.txt", content) == []


@pytest.mark.parametrize("line", ["[a red chair]", "{chair, red}", "a chair, a prompt answer", "[0] no, (1)"])
def test_brackets_and_commas_make_no_table(tmp_path: Path, line: str) -> None:
    assert texts(tmp_path, line) == [line]


def test_whoever_says_text_gets_lines(tmp_path: Path) -> None:
    assert [row.values["prompt"] for row in read(tmp_path, "p.csv", "prompt,seed\na mug,7\n", "text").rows] == [
        "prompt,seed",
        "a mug,7",
    ]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("\u200b", "must not be empty: its characters show nothing"),
        ("\u2060 \u200d", "must not be empty: its characters show nothing"),
        ("a\x1b[31m mug", "must not contain control characters"),
        ("a \0 mug", "must not contain control characters"),
        ("a \ufeff mug", "must not contain a byte order mark"),
        ("a \u202egum", "must not contain bidirectional overrides"),
        ("x" * 1001, "must have at most 1000 characters, has 1001"),
    ],
)
def test_characters_that_no_prompt_may_have_are_named_with_their_line(tmp_path: Path, line: str, rule: str) -> None:
    fault = refusal(tmp_path, "prompts.txt", f"a mug\n\n{line}\n")

    assert fault.startswith("prompts.txt, line 3 (")
    assert f"prompt = {line[:5]!r}"[:12] in fault
    assert rule in fault


@pytest.mark.parametrize("line", ["nan", "None", "null", " NULL ", "undefined"])
def test_a_line_that_programs_write_for_no_value_is_refused(tmp_path: Path, line: str) -> None:
    assert refusal(tmp_path, "prompts.txt", f"a mug\n{line}\n").endswith(
        f"prompt = {line.strip()!r}: is what programs write for no value: say what to make, or remove the row"
    )


def test_a_first_line_of_any_length_is_a_fault_of_its_own(tmp_path: Path) -> None:
    fault = refusal(tmp_path, "prompts.txt", f"{'x, ' * 100_000}\na mug\n")

    assert fault.startswith("prompts.txt, line 1 (")
    assert len(fault) < 500


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n", "\ufeff\n"])
def test_a_source_without_prompts_is_refused(tmp_path: Path, content: str) -> None:
    assert refusal(tmp_path, "prompts.txt", content) == "prompts.txt: no prompts in it"
