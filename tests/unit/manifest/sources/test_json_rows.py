"""JSON Lines and JSON arrays: each value is taken as it is, or refused with its place, id and rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.records import Prompt
from support.sources import faults, prompts, refusal, warnings


def test_objects_lists_and_texts_become_columns(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "a café \u2028 table", "recipe_overrides": {"optimize.num_steps": 200}},
        {"prompt": "a mug", "prompt_id": "mug", "view_prompts": {"back": "the back of a mug"}, "tags": ["cup"]},
        {"Prompt": "a hat", "Seed": 7.0, "priority": -2, "recipe_overrides": '{"optimize.num_steps": 200}'},
        {"prompt": "a shoe", "seed": None, "tags": None, "prompt_id": None, "target_height_m": 2},
    ]
    expected = [
        Prompt("a_cafe_table", "a café table", target_height_m=0.75, overrides={"optimize.num_steps": 200}),
        Prompt("mug", "a mug", target_height_m=0.1, tags=("cup",), view_texts={"back": "the back of a mug"}),
        Prompt("a_hat", "a hat", target_height_m=0.2, seed=7, priority=-2, overrides={"optimize.num_steps": 200}),
        Prompt("a_shoe", "a shoe", target_height_m=2.0),
    ]
    lines = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)

    assert prompts(tmp_path, "p.jsonl", lines) == expected
    assert prompts(tmp_path, "P.NDJSON", lines.replace("\n", "\r\n")) == expected
    assert prompts(tmp_path, "p.json", lines) == expected
    assert prompts(tmp_path, "p.json", json.dumps(rows)) == expected
    assert prompts(tmp_path, "P.JSON", json.dumps(rows, indent=2)) == expected


@pytest.mark.parametrize(("prompt_id", "name"), [(0, "0"), (7, "7"), (10**30, "1" + "0" * 30), ("0", "0"), ("7", "7")])
def test_whole_numbers_are_ids(tmp_path: Path, prompt_id: object, name: str) -> None:
    content = json.dumps({"prompt": "a mug", "prompt_id": prompt_id})

    assert prompts(tmp_path, "p.jsonl", content) == [Prompt(name, "a mug", target_height_m=0.1)]


WRONG = [
    ("prompt", 3, "must be text in quotes"),
    ("prompt", ["a mug"], "must be text in quotes"),
    ("prompt", "", "prompt is empty: say what to make"),
    ("prompt", None, "prompt is null: say what to make"),
    ("tags", [None], "tags = [null]: must be a list of texts"),
    ("tags", ["a", None, {"b": True}], "tags = ['a', null, {'b': true}]: must be a list of texts"),
    ("tags", [""], "tags[0] = '': must not be empty"),
    ("prompt", "   ", "must not be empty"),
    ("prompt", "a \ud83d mug", "contains half a character (\\ud83d)"),
    ("prompt_id", "", "must not be empty; leave it out for a name"),
    ("prompt_id", 7.5, "must be text in quotes, or a whole number"),
    ("prompt_id", True, "must be text in quotes, or a whole number"),
    ("prompt_id", 10**200, "must be text in quotes, or a whole number"),
    ("prompt_id", "\udc80", "contains half a character"),
    ("seed", "7", "must be a whole number without quotes"),
    ("seed", 7.5, "must be a whole number without quotes"),
    ("seed", 2.0**53, "must be a whole number without quotes"),
    ("seed", True, "must be a whole number without quotes"),
    ("seed", 2**64, "must be from 0 to 9223372036854775807"),
    ("seed", -1, "must be from 0 to 9223372036854775807"),
    ("seed", float("inf"), "must be a whole number without quotes"),
    ("priority", 2**31, "must be from -2147483647 to 2147483647"),
    ("priority", 1e300, "must be a whole number without quotes"),
    ("tags", "forest", 'must be a list of texts: ["forest"]'),
    ("tags", ["a", 3], 'must be a list of texts: ["wood", "old"]'),
    ("tags", {"a": 1}, 'must be a list of texts: ["wood", "old"]'),
    ("tags", ["\ud800"], "contains half a character"),
    ("target_height_m", "0.9", "must be a number of metres without quotes"),
    ("target_height_m", False, "must be a number of metres without quotes"),
    ("target_height_m", 10**400, "must be a number of metres without quotes, such as 0.9"),
    ("priority", -(10**400), "priority = -1000000... (402 digits): must be from -2147483647 to 2147483647"),
    ("prompt_id", 10**400, "must be text in quotes, or a whole number"),
    ("recipe_overrides", {"optimize.num_steps": 10**400}, "must not contain a number of more than 200 digits"),
    ("target_height_m", float("inf"), "must be from 0.01 to 100.0 metres"),
    ("budget_profile", 3, "must be text in quotes"),
    ("recipe_overrides", ["optimize.num_steps"], "must be a JSON object"),
    ("recipe_overrides", {"optimize.num_steps": float("nan")}, "must not contain NaN or Infinity"),
    ("recipe_overrides", {"optimize.num_step": 3}, "did you mean 'num_steps'"),
    ("view_prompts", {"back": "\udfff"}, "contains half a character"),
    ("view_prompts", {"top": "a mug"}, "must give texts for some of"),
]


@pytest.mark.parametrize("text", ["None", " nan", "NULL", "undefined"])
def test_what_programs_write_for_no_prompt_is_refused(tmp_path: Path, text: str) -> None:
    (line,) = faults(tmp_path, "p.json", json.dumps([{"prompt": "a car"}, {"prompt": text}]))

    assert line == f"p.json, object 2: prompt = {text!r}: is what programs write for no value: {REMEDY}"


REMEDY = "say what to make, or remove the row"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("negative_prompt", "NULL"),
        ("negative_prompt", "nan "),
        ("view_prompts", "None"),
        ("prompt_id", "null"),
        ("budget_profile", "NaN"),
        ("tags", "nan"),
        ("seed", "NULL"),
        ("seed", float("nan")),
        ("priority", float("nan")),
        ("target_height_m", float("nan")),
        ("target_height_m", "<NA>"),
    ],
)
def test_what_programs_write_for_no_value_is_refused_in_any_column(tmp_path: Path, column: str, value: object) -> None:
    (line,) = faults(tmp_path, "p.jsonl", json.dumps({"prompt": "a mug", column: value}))

    told = "is what programs write for no value: write null, or leave the key out"
    assert line.startswith(f"p.jsonl, line 1 (a_mug): {column} = ")
    assert line.endswith(told)


@pytest.mark.parametrize("text", ["nan", "None", "NULL"])
def test_a_view_without_a_wording_is_left_out(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, "p.jsonl", json.dumps({"prompt": "a mug", "view_prompts": {"back": text}}))

    assert f"view_prompts.back = {text!r}: is what programs write for no value: leave it out" in message


@pytest.mark.parametrize(("column", "value", "rule"), WRONG)
def test_a_wrong_value_costs_a_fault_with_place_id_and_rule(
    tmp_path: Path, column: str, value: object, rule: str
) -> None:
    rows = [{"prompt": "a car"}, {"prompt": "a mug", column: value}]
    name = "" if column == "prompt" else " (a_mug)"

    (line,) = faults(tmp_path, "p.jsonl", "\n".join(map(json.dumps, rows)))
    assert line.startswith(f"p.jsonl, line 2{name}: ") or value == "   "
    assert rule in line
    (numbered,) = faults(tmp_path, "p.json", json.dumps(rows))
    assert numbered == line.replace("p.jsonl, line 2", "p.json, object 2")


def test_all_faults_of_all_lines_are_told(tmp_path: Path) -> None:
    lines = ['{"prompt": "a mug", "seed": "x", "tags": "y"}', '{"prompt"', "3", '{"seed": 1}', '{"prompt": "a hat"}']
    found = faults(tmp_path, "p.jsonl", "\n".join(lines))

    assert [fault.partition(": ")[0].removeprefix("p.jsonl, ") for fault in found] == [
        "line 1 (a_mug)",
        "line 1 (a_mug)",
        "line 2",
        "line 3",
        "line 4",
    ]
    assert "not valid JSON: Expecting ':' delimiter (column 10)" in found[2]
    assert found[3].endswith('3: must be an object like {"prompt": "a red mushroom"}')
    assert found[4].endswith('has no prompt: must be like {"prompt": "a red mushroom"}')


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("[" * 100_000, "is an array"),
        ('{"prompt": ' + "[" * 100_000, "is nested too deep"),
        ('{"prompt": "a mug", "recipe_overrides": ' + '{"a":' * 900 + "1" + "}" * 901, ""),
        ('{"prompt": ' + "[" * 900 + "]" * 900 + "}", "must be text in quotes"),
        (
            '{"prompt": "a mug", "seed": ' + "9" * 5000 + "}",
            "seed = 99999999... (5000 digits): must be from 0 to",
        ),
        ('{"prompt": "a mug", "seed": 1,}', "not valid JSON"),
        ('{"prompt": "a mug", "prompt": "a car"}', "key 'prompt' stands in one object twice: remove one"),
        (
            '{"prompt": "a mug", "Prompt": "a car"}',
            "column 'prompt' stands in one object twice, as 'prompt' and 'Prompt'",
        ),
        (
            '{"Prompt": "a mug", "prompt": "a car"}',
            "column 'prompt' stands in one object twice, as 'Prompt' and 'prompt'",
        ),
        ('{"prompt": "a", "Seed": 1, " seed": 2}', "column 'seed' stands in one object twice, as 'Seed' and ' seed'"),
        ('{"prompt": "x", "view_prompts": {"back": "a", "back": "b"}}', "key 'back' stands in one object twice"),
        ('{"prompts": "a mug"}', "it has 'prompts' (is 'prompt' meant?)"),
        ("null", "null: must be an object"),
        ('"a mug"', "'a mug': must be an object"),
    ],
)
def test_hostile_lines_cost_a_fault(tmp_path: Path, line: str, rule: str) -> None:
    assert rule in refusal(tmp_path, "p.jsonl", line)


def test_keys_that_are_not_read_are_told_once(tmp_path: Path) -> None:
    content = '{"prompt": "a mug", "artist": "me"}\n{"prompt": "a car", "artist": "me", "seeds": 3, "\\ud800": 1}\n'

    told = "p.jsonl: columns that are not read: artist, seeds (is 'seed' meant?), '\\ud800'"
    assert warnings(tmp_path, "p.jsonl", content) == [told]
    assert warnings(tmp_path, "p.json", f"[{content.strip().replace(chr(10), ',')}]") == [told.replace("jsonl", "json")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "no prompts in it"),
        ("", "must be an array of objects"),
        ('"a mug"', "must be an array of objects"),
        (
            '{\n"dreamfusion": ["a"],\n"magic3d": ["b"]}',
            "is one object with the keys 'dreamfusion', 'magic3d'",
        ),
        ("{\n", "is one object: must be an array of objects"),
        ('["a mug", "a car"]', "object 1: 'a mug': must be an object like"),
        ('[{"prompt": "a mug"},\n {"prompt"]', "not valid JSON: Expecting ':' delimiter (line 2, column 11)"),
        ('[{"prompt": "a mug"}\n {"prompt": "a car"}]', "after an object must come a comma"),
        ('[{"prompt": "a mug"},]', "not valid JSON"),
        ('[{"prompt": "a mug"}', "after an object must come a comma or the end of the array"),
        ('[{"prompt": "a mug"}] x', "something stands after the end of the array (column 23)"),
        ("[" * 100_000, "is nested too deep"),
        ('[{"prompt": "a", "prompt": "b"}]', "key 'prompt' stands in one object twice"),
    ],
)
def test_json_that_is_no_array_of_objects_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    assert reason in refusal(tmp_path, "p.json", content)


def test_an_array_under_the_name_of_lines_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path, "p.jsonl", '\n [{"prompt": "a mug"}]') == (
        "p.jsonl: is an array, not one object a line: name it .json, or say --from json"
    )
