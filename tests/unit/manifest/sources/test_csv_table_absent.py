"""Cells of a table without a value: those that say so in words are refused, those that lack are counted."""

from pathlib import Path

import pytest

from support.sources import faults, prompts, refusal, warnings


@pytest.mark.parametrize("cell", ["None", "null", "NaN", "<NA>", "#N/A"])
def test_what_programs_write_for_no_prompt_is_refused(tmp_path: Path, cell: str) -> None:
    fault = refusal(tmp_path, "p.csv", f"prompt,seed\na mug,7\n{cell},8\n")

    assert f"prompt = {cell!r}: is what programs write for no value: say what to make" in fault


@pytest.mark.parametrize("cell", ["NULL", "nan", "None", "null", "NaN", "<NA>"])
@pytest.mark.parametrize(
    "column",
    [
        "negative_prompt",
        "view_prompts",
        "seed",
        "priority",
        "target_height_m",
        "tags",
        "prompt_id",
        "budget_profile",
        "recipe_overrides",
    ],
)
def test_what_programs_write_for_no_value_is_refused_in_any_column(tmp_path: Path, column: str, cell: str) -> None:
    for name, separator in (("p.csv", ","), ("p.tsv", "\t")):
        (fault,) = faults(tmp_path, name, f"prompt,{column}\na car,\na mug,{cell}\n".replace(",", separator))
        assert f"{column} = {cell!r}: is what programs write for no value: leave the cell empty" in fault


@pytest.mark.parametrize("words", ["no people", "None of it", "nano", "a null pointer", "naan bread"])
def test_words_that_only_begin_so_are_words(tmp_path: Path, words: str) -> None:
    (prompt,) = prompts(tmp_path, "p.csv", f"prompt,negative_prompt\na mug,{words}\n")

    assert prompt.negative_text == words


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.csv", "prompt_id,prompt,seed\na,b,1\nc,d\n", "line 3 is shorter than the header, with 2 of 3 values"),
        ("p.tsv", "prompt\tseed\na car 3\na mug\t7\n", "line 2 is shorter than the header, with 1 of 2 values"),
        (
            "p.csv",
            "prompt;seed;tags\na mug\na car;1;x\na hat;2\na shoe\n",
            "line 2 is shorter than the header, with 1 of 3 values, as are 2 more lines",
        ),
        ("p.csv", "prompt,seed,,\na mug\n", "line 2 is shorter than the header, with 1 of 2 values"),
    ],
)
def test_lines_that_are_shorter_than_the_header_are_told_once(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    assert warnings(tmp_path, name, content) == [f"{name}: {told}: those that lack are empty"]


@pytest.mark.parametrize(
    "content", ["prompt,seed,,\na mug,7\n", "prompt,seed\na mug,\n\n,\n", "prompt,seed,artist,,\na mug,7,\n"]
)
def test_lines_of_which_nothing_lacks_are_no_news(tmp_path: Path, content: str) -> None:
    assert warnings(tmp_path, "p.csv", content) == []
