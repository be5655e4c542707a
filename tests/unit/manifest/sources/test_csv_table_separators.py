"""Lines that are divided otherwise than their header, and quotes that take several cells or lines for one."""

from pathlib import Path

import pytest

from support.sources import prompts, refusal, warnings


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.csv", "prompt,seed\na mug;7\na car;8\n", "commas divide the header, but semicolons the lines below"),
        ("p.csv", "prompt;seed\na mug,7\n", "semicolons divide the header, but commas the lines below"),
        ("p.csv", "prompt,seed\na mug\t7\n", "commas divide the header, but tabs the lines below"),
        ("p.csv", "sep=,\nprompt,seed,tags\na mug;7;x\n", "commas divide the header, but semicolons the lines below"),
        ("p.tsv", "prompt\tseed\na mug,7\na car,8\n", "tabs divide the header, but commas the lines below"),
    ],
)
def test_lines_divided_otherwise_than_their_header_are_refused(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    fault = refusal(tmp_path, name, content)

    line = 2 if content.startswith("sep") else 1
    assert fault.startswith(f"{name}, line {line}: {told}")
    assert fault.endswith("make them alike")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("prompt,seed\na mug;7\na car,8\n", "line 2"),
        ("prompt,seed\na car,8\na mug;7\na hat;9\n", "line 3 and 1 more"),
        ("prompt\na mug;7\na car;8\n", "line 2 and 1 more"),
    ],
)
def test_single_lines_divided_otherwise_are_prompts_and_told(tmp_path: Path, content: str, line: str) -> None:
    told = f"p.csv: {line}: semicolons stay in the prompt, since the header has none"
    assert warnings(tmp_path, "p.csv", content) == [told]


@pytest.mark.parametrize("content", ["prompt,seed\na b;7,\n", "prompt,seed\na; b; c,\n", "prompt\na mug; red\na car\n"])
def test_other_separators_in_prose_are_no_news(tmp_path: Path, content: str) -> None:
    assert warnings(tmp_path, "p.csv", content) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('prompt\tseed\n"a mug\twith a tab"\t7\n', "a mug with a tab"),
        ('prompt\tseed\n"a mug\nwith a line"\t7\n', "a mug with a line"),
        ('prompt\tseed\n"a ""red"" mug"\t7\n', 'a "red" mug'),
    ],
)
def test_quoted_tabs_and_lines_of_a_tsv_are_read(tmp_path: Path, content: str, text: str) -> None:
    assert [prompt.text for prompt in prompts(tmp_path, "p.tsv", content)] == [text]


def test_quotes_of_a_tsv_that_pair_over_lines_swallow_none(tmp_path: Path) -> None:
    content = 'prompt\tseed\n"Hello\t1\na mug\t2\nthere"\t3\n'

    assert [prompt.text for prompt in prompts(tmp_path, "p.tsv", content)] == ['"Hello', "a mug", 'there"']


def test_a_text_over_several_lines_is_told(tmp_path: Path) -> None:
    content = 'prompt,seed\n"two\nlines",1\na mug,2\n"two\nmore",3\n'

    told = "p.csv: line 2 and 1 more: a quoted text goes on over several lines, which become one"
    assert warnings(tmp_path, "p.csv", content) == [told]
