"""JSON of other shapes is refused with the shape that it has and the one that is read."""

import json
from pathlib import Path

import pytest

from support.sources import faults, prompts, refusal

ROWS = [{"prompt": "a mug", "seed": 7}, {"prompt": "a car", "seed": 8}]
OBJECTS = 'to_json("prompts.json", orient="records")'


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["p.json", "p.jsonl"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"rows": ROWS}, "the rows are wrapped under 'rows': give the array alone"),
        ({"data": ROWS, "count": 2}, "the rows are wrapped under 'data': give the array alone"),
        ({"version": 1, "prompts": ROWS}, "the rows are wrapped under 'prompts': give the array alone"),
        ({"schema": {"fields": []}, "data": ROWS}, "the rows are wrapped under 'data': give the array alone"),
        ({"prompt": {"0": "a mug", "1": "a car"}, "seed": {"0": 7, "1": 8}}, "is a table column by column"),
        ({"prompt": {"0": None, "1": "a car"}}, "is a table column by column"),
        ({"Prompt": ["a mug", "a car"], "Seed": [7, 8]}, "is a table column by column"),
        ({"columns": ["prompt"], "index": [0], "data": [["a mug"]]}, 'is a table in pandas\' orient="split"'),
        ({"0": ROWS[0], "1": ROWS[1]}, "is an object of rows by their names"),
    ],
)
def test_a_table_of_another_shape_is_one_fault(
    tmp_path: Path, name: str, indent: int | None, value: object, told: str
) -> None:
    message = refusal(tmp_path, name, json.dumps(value, indent=indent))

    assert message.startswith(f"{name}: {told}")
    assert OBJECTS in message or "wrapped" in told


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a mug", "rows": ROWS},
        {"prompt": "a mug", "columns": ["x"], "data": [["y"]]},
        {"prompt": "a mug", "recipe_overrides": {"optimize.num_steps": 200}},
    ],
)
def test_a_row_is_a_row_whatever_else_it_holds(tmp_path: Path, row: object) -> None:
    assert [prompt.text for prompt in prompts(tmp_path, "p.jsonl", json.dumps(row))] == ["a mug"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (json.dumps(ROWS[0], indent=2), 1),
        ("\n".join(json.dumps(row, indent=4) for row in ROWS), 1),
        ('{"prompt": "a hat"}\n\n' + json.dumps(ROWS[0], indent=2), 3),
        ('{"prompt": "a mug",\n "seed": 7}\n{"prompt": "a car",\n "seed": 8}\n', 1),
        ('{\n"prompt": "a mug"\nbroken', 1),
    ],
)
def test_objects_over_several_lines_are_one_fault(tmp_path: Path, content: str, line: int) -> None:
    assert faults(tmp_path, "p.jsonl", content) == [
        f"p.jsonl, line {line}: an object begins here and goes on over several lines: "
        "write one object a line (jq -c .), or an array of them and --from json"
    ]


@pytest.mark.parametrize("separator", ["\n", ",\n", "\n\n", ""])
def test_objects_one_behind_another_are_no_array(tmp_path: Path, separator: str) -> None:
    content = separator.join(json.dumps(row, indent=2) for row in ROWS)

    assert faults(tmp_path, "p.json", content) == [
        "p.json: objects stand one behind another over several lines: make an array of them (jq -s .)"
    ]


def test_a_broken_line_among_others_costs_that_line(tmp_path: Path) -> None:
    content = '{"prompt": "a mug"\n{"prompt": "a car"}\n{"prompt"\n'

    assert [fault.partition(": ")[0] for fault in faults(tmp_path, "p.jsonl", content)] == [
        "p.jsonl, line 1",
        "p.jsonl, line 3",
    ]
