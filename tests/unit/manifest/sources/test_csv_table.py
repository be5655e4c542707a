"""Tables of spreadsheets and of pandas are read as they are, or refused line by line."""

from pathlib import Path

import pytest

from dreamfoundry.records import Prompt
from support.sources import faults, prompts, refusal, warnings

MUG = [Prompt("a_mug", "a mug", target_height_m=0.1, seed=7)]
OLD_CHAIR = Prompt("chair", "a red, old chair", seed=7, tags=("wood", "old"), target_height_m=0.9)


def test_columns_are_typed(tmp_path: Path) -> None:
    content = 'prompt_id,prompt,seed,tags,target_height_m\nchair,"a red, old chair",7,wood; old,0.9\n,a mug,,,\n'

    assert prompts(tmp_path, "p.csv", content) == [OLD_CHAIR, Prompt("a_mug", "a mug", target_height_m=0.1)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", "prompt,seed\na mug,7\n"),
        ("p.csv", "prompt;seed\na mug;7\n"),
        ("p.csv", "prompt\tseed\na mug\t7\n"),
        ("p.tsv", "prompt\tseed\na mug\t7\n"),
        ("p.tsv", "prompt,seed\na mug,7\n"),
        ("p.tab", "Prompt\tSeed\na mug\t7\n"),
        ("P.CSV", "PROMPT,SEED\r\na mug,7\r\n"),
        ("p.csv", "sep=;\nprompt;seed\na mug;7\n"),
        ("p.csv", '"sep=|"\r\nprompt|seed\r\na mug|7\r\n'),
        ("p.csv", "\n\nSEP=,\nprompt,seed\na mug,7\n"),
        ("p.csv", ' Prompt , "Seed"\n a mug , 7 \n'),
        ("p.csv", "prompt,seed,,\na mug,7,,\n,,,\n,,,,,\n"),
        ("p.csv", "prompt,seed\na mug,7,,\n"),
        ("p.csv", "prompt,seed\na mug,7.0\n"),
        ("p.csv", "prompt,seed\na mug,+7\n"),
        ("p.csv", "\ufeffprompt,seed\n\na mug,007\n\n"),
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, name: str, content: str) -> None:
    assert prompts(tmp_path, name, content) == MUG


@pytest.mark.parametrize("tags", ["wood;old", "wood| old", '"wood,old"', " wood ; ;old;"])
def test_tags_are_divided(tmp_path: Path, tags: str) -> None:
    content = f'prompt_id,prompt,seed,tags,target_height_m\nchair,"a red, old chair",7,{tags},.9\n'

    assert prompts(tmp_path, "p.csv", content) == [OLD_CHAIR]


def test_names_of_columns_may_have_blanks(tmp_path: Path) -> None:
    content = "Prompt ID,PROMPT,Negative Prompt,Budget-Profile\nmug,a mug,blurry,mobile\n"

    expected = Prompt("mug", "a mug", target_height_m=0.1, negative_text="blurry", budget_profile="mobile")
    assert prompts(tmp_path, "p.csv", content) == [expected]


def test_quoted_texts_may_have_quotes_separators_and_lines(tmp_path: Path) -> None:
    content = 'prompt,seed\n"a ""red""; old,\nchair",7\na 3" nail,8\n'

    assert [prompt.text for prompt in prompts(tmp_path, "p.csv", content)] == ['a "red"; old, chair', 'a 3" nail']


def test_tabs_divide_lines_of_programs_that_never_quote(tmp_path: Path) -> None:
    content = 'Prompt\tCategory\n"G I G G L E" painted on a wall\tWriting\na 3" nail\tTools\n"a mug\tTools\n'

    texts = [prompt.text for prompt in prompts(tmp_path, "p.tsv", content)]
    assert texts == ['"G I G G L E" painted on a wall', 'a 3" nail', '"a mug']
    assert warnings(tmp_path, "p.tsv", content) == [
        "p.tsv: its quotes are no quotes of CSV, and are taken as they are",
        "p.tsv: columns that are not read: Category",
    ]


def test_tabs_that_divide_lines_unequally_leave_quotes_as_those_of_csv(tmp_path: Path) -> None:
    content = 'Prompt\tCategory\n"G I G G L E" painted on a wall\tWriting\na car\n'

    assert "line 2: text stands behind the quoted text" in refusal(tmp_path, "p.tsv", content)


def test_cells_may_hold_json(tmp_path: Path) -> None:
    content = 'prompt,recipe_overrides\na mug,"{""optimize.num_steps"": 200}"\n'

    assert prompts(tmp_path, "p.csv", content) == [
        Prompt("a_mug", "a mug", target_height_m=0.1, overrides={"optimize.num_steps": 200})
    ]


def test_an_empty_cell_is_an_absent_value_and_zero_is_none(tmp_path: Path) -> None:
    content = "prompt_id,prompt,seed,priority\n0,a mug,0,0\n,a car,,\n"

    assert prompts(tmp_path, "p.csv", content) == [
        Prompt("0", "a mug", target_height_m=0.1),
        Prompt("a_car", "a car", target_height_m=1.5),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("prompt,artist,status\na mug,me,\na car,me,done\n", "artist, status"),
        (",prompt\n0,a mug\n1,a car\n", "one without a name (pandas: to_csv(index=False))"),
        ("prompt,seeds\na mug,7\n", "seeds (is 'seed' meant?)"),
        ("prompt,artist,artist\na mug,me,you\n", "artist"),
        ("prompt," + ",".join(f"c{n}" for n in range(30)) + "\na mug" + ",1" * 30 + "\n", "and 10 more"),
    ],
)
def test_columns_that_are_not_read_are_told_once(tmp_path: Path, content: str, told: str) -> None:
    (warning,) = warnings(tmp_path, "p.csv", content)

    assert warning.startswith("p.csv: columns that are not read: ")
    assert warning.endswith(told)


def test_empty_columns_without_a_name_are_no_news(tmp_path: Path) -> None:
    assert warnings(tmp_path, "p.csv", "prompt,,\na mug,,\n") == []


def test_a_header_in_the_middle_is_left_out_and_told(tmp_path: Path) -> None:
    content = "prompt,seed\na mug,7\nprompt,seed\nprompt,seed\n"

    assert prompts(tmp_path, "p.csv", content) == MUG
    told = "p.csv: line 3 repeats the header and is left out, as are 1 more: were files joined?"
    assert warnings(tmp_path, "p.csv", content) == [told]


def test_a_column_that_stands_there_twice_under_two_names_is_told_with_both(tmp_path: Path) -> None:
    for header, names in (
        ("prompt,Prompt", "'prompt' and 'Prompt'"),
        ("prompt,Prompt ID,prompt_id", "'Prompt ID' and"),
    ):
        assert f"twice, as {names}" in refusal(tmp_path, "p.csv", f"{header}\na mug,7,8\n")


@pytest.mark.parametrize("twice", ["prompt,prompt", "prompt,Prompt", "prompt,seed, seed", "prompt,prompt_id,Prompt ID"])
def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path, twice: str) -> None:
    message = refusal(tmp_path, "p.csv", f"{twice}\na mug,7,8\n")

    assert message.startswith("p.csv, line 1: column ")
    assert "stands in the header twice" in message
    assert message.endswith(": remove or rename one")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a red mushroom\na mug\n", "no column 'prompt'; it has 'a red mushroom'; for one prompt a line"),
        (
            "sep=;\ntext;seed\n",
            "line 2: the header, divided at semicolons, has no column 'prompt'; it has 'text'",
        ),
        ("prompts,seed\na mug,7\n", "it has 'prompts', 'seed' (is 'prompt' meant?)"),
        ("sep=x\n", "no prompts in it"),
        ("prompt\n", "no prompts in it"),
        ("prompt,seed\n,,\n", "no prompts in it"),
    ],
)
def test_a_table_without_prompts_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    assert reason in refusal(tmp_path, "p.csv", content)


@pytest.mark.parametrize(
    ("column", "cell", "rule"),
    [
        ("seed", "7.5", "must be a whole number, in digits without separators"),
        ("seed", '"7,0"', "must be a whole number, in digits without separators"),
        ("seed", "1.000", "must be a whole number, in digits without separators"),
        ("seed", "1_000", "must be a whole number, in digits without separators"),
        ("seed", "٣", "must be a whole number, in digits without separators"),
        ("seed", "x", "must be a whole number, in digits without separators"),
        ("seed", "9" * 5000, "must be a whole number, in digits without separators"),
        ("seed", "1.2E+15", "must be a whole number in full: a program has rounded this one"),
        ("seed", "-1", "must be from 0 to 9223372036854775807"),
        ("seed", str(2**64), "must be from 0 to 9223372036854775807"),
        ("priority", str(2**31), "must be from -2147483647 to 2147483647"),
        ("target_height_m", '"0,9"', "must have a decimal point: 0.9"),
        ("target_height_m", "90cm", "must be a number of metres such as 0.9, without a unit"),
        ("target_height_m", "inf", "must be a number of metres such as 0.9, without a unit"),
        ("target_height_m", "1e400", "must be from 0.01 to 100.0 metres"),
        ("target_height_m", "0", "must be from 0.01 to 100.0 metres"),
        ("recipe_overrides", "{x}", "must be a JSON object"),
        ("budget_profile", "none", "is not an export profile"),
        ("prompt_id", "a/b", "must be a unique name"),
    ],
)
def test_a_wrong_value_is_named_with_line_id_and_rule(tmp_path: Path, column: str, cell: str, rule: str) -> None:
    (fault,) = faults(tmp_path, "p.csv", f"prompt,{column}\na car,\na mug,{cell}\n")

    name = cell if column == "prompt_id" else "a_mug"
    assert fault.startswith(f"p.csv, line 3 ({name}): ")
    assert column in fault or column == "budget_profile"
    assert rule in fault or column == "budget_profile"


def test_every_fault_is_told_in_the_order_of_the_lines(tmp_path: Path) -> None:
    rows = ["a,a mug,x,90cm", "b,,7,", "c,a car,7,0", "d,a hat", "d,a shoe", "e,a, red, hat,x"]
    content = "\n".join(["prompt_id,prompt,seed,target_height_m", *rows])
    found = faults(tmp_path, "p.csv", content)

    assert [fault.partition(": ")[0].removeprefix("p.csv, ") for fault in found] == [
        "line 2 (a)",
        "line 2 (a)",
        "line 3 (b)",
        "line 4 (c)",
        "line 6 (d)",
        "line 7 (e)",
    ]
    assert found[2].endswith("prompt is empty: say what to make, or remove the line")
    assert "has 5 values, but the header has 4 columns: put a text with a separator in quotes" in found[5]


@pytest.mark.parametrize("line", ["3,,", ",,8", "4,,8"])
def test_a_line_that_lacks_only_its_prompt_is_a_fault(tmp_path: Path, line: str) -> None:
    (fault,) = faults(tmp_path, "p.csv", f",prompt,seed\n0,a mug,7\n{line}\n")

    assert fault == "p.csv, line 3: prompt is empty: say what to make, or remove the line"


def test_hostile_headers_and_lines_are_refused_in_seconds(tmp_path: Path) -> None:
    assert "twice" in refusal(tmp_path, "p.csv", "prompt," * 100_000 + "\n")
    assert "no column 'prompt'" in refusal(tmp_path, "p.csv", "promt," * 100_000 + "\n")
    assert "a quote is opened here" in refusal(tmp_path, "p.csv", "prompt,x\n" + '"a",' * 100_000 + '"b\n')


def test_a_message_is_short_and_printable_whatever_the_id(tmp_path: Path) -> None:
    for prompt_id, name in [("a\x1b[2J", "'a\\x1b[2J'"), ("x" * 1000, f"'{'x' * 76}...")]:
        fault, _ = faults(tmp_path, "p.csv", f"prompt_id,prompt,seed\n{prompt_id},a mug,x\n")
        assert fault.startswith(f"p.csv, line 2 ({name}): seed = 'x'")


def test_of_many_faults_the_first_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    message = refusal(tmp_path, "p.csv", "prompt,seed\n" + "a mug,x\n" * 1000)

    assert message.startswith("1000 faults, nothing is written\n")
    assert message.count("seed = 'x'") == 20
    assert message.endswith("\n  and 980 more")


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        ('a,"a red chair\nb,a blue car\nc,x\n', 2, "a quote is opened here and never closed"),
        ('a,ok\nb,"a red chair\nc,"a blue car\n', 3, "text stands behind the quoted text that begins here"),
        ('a,"a ""red"" chair\nb,x\n', 2, "a quote is opened here and never closed"),
        ('a,"two\nlines","three\nb,x\n', 3, "a quote is opened here and never closed"),
        ('a,"a red" chair\n', 2, "text stands behind the quoted text that begins here"),
        ('a,"two\nlines" x\n', 2, "text stands behind the quoted text that begins here"),
        ('a,"' + "x" * 200_000 + "\n" * 100_000, 2, "a quote is opened here and never closed"),
        ("a," + "x" * 200_000 + "\n", 2, "a cell has more than 131,072 characters, but a text may have at most 16 KiB"),
        ('a,"' + "x " * 90_000 + '"\n', 2, "a cell has more than 131,072 characters"),
        ("b,ok\na," + "x" * 200_000 + ",y\n", 3, "at most 16 KiB, a JSON object 64 KiB"),
    ],
)
def test_a_broken_quote_is_named_where_it_was_opened(tmp_path: Path, body: str, line: int, reason: str) -> None:
    fault = refusal(tmp_path, "p.csv", f"prompt_id,prompt,tags\n{body}")

    assert fault.startswith(f"p.csv, line {line}: ")
    assert reason in fault
    assert fault.endswith("nothing is read from here on")


@pytest.mark.parametrize("cell", ["['forest', 'red']", "[x]", "(a; b)", "{wood}"])
def test_a_list_as_a_program_prints_it_is_refused_as_tags(tmp_path: Path, cell: str) -> None:
    assert "must be tags between semicolons, as in wood; old" in refusal(
        tmp_path, "p.csv", f'prompt,tags\na red mushroom,"{cell}"\n'
    )
