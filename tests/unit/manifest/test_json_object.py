"""JSON in a cell: read whole, or refused with its rule; nothing in it is dropped."""

from pathlib import Path

import pytest

from dreamfoundry.manifest.json_object import json_object
from support.manifests import refused_rows, write_manifest

REFUSED = {
    "{": "must be a JSON object",
    "[1]": "must be a JSON object",
    "null": "must be a JSON object",
    "'optimize.num_steps': 3": "must be a JSON object",
    '{"optimize.num_steps": NaN}': "NaN is no number of JSON",
    '{"optimize.num_steps": -Infinity}': "-Infinity is no number of JSON",
    '{"optimize.num_steps": 1, "optimize.num_steps": 2}': "must not have the key 'optimize.num_steps' twice",
    '{"optimize": {"num_steps": 1, "num_steps": 2}}': "must not have the key 'num_steps' twice",
    f'{{"optimize.num_steps": 1{"0" * 400}}}': "must not have a number of 401 digits",
    f'{{"optimize.num_steps": 1{"0" * 5000}}}': "must not have a number of 5001 digits",
    '{"wording.text": "\\ud83d {prompt}"}': "lone surrogate",
    '{"\\udc00": 1}': "lone surrogate",
    '{"wording": {"azimuth_words": ["front", "\\ud83d"]}}': "lone surrogate",
    '{"wording.text": "\\u0000"}': "control characters",
    '{"wording.text": "\\u202e{prompt}"}': "bidirectional",
    '{"a":' * 20 + "1" + "}" * 20: "at most 16 levels deep",
    '{"a":' + "[" * 5000 + "]" * 5000 + "}": "at most 16 levels deep",
    "[" * 60_000: "at most 16 levels deep",
}
REFUSED_BY_THE_RECIPE = {
    '{"optimize.num_steps": 10000000000000000000}': "must be from 1 to 1000000",
    '{"guidance.guidance_scale": 1e999}': "must be a finite number",
    '{"optimize.num_steps": 7.5}': "must be of type int",
    '{"optimize": {"num_steps": 4}, "optimize.num_steps": 3}': "contradicts another override",
    '{"optimize.num_steps": 3, "optimize": {"num_steps": 4}}': "contradicts another override",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_what_is_no_object_or_holds_what_no_text_may_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="must") as refused:
        json_object(text)

    assert REFUSED[text] in str(refused.value)
    for column in ("recipe_overrides", "view_prompts"):
        (message,) = refused_rows(write_manifest(tmp_path / "m.parquet", **{column: [text]}))
        assert message.startswith(f"row 0 (row-0): {column} = ")
        assert message.endswith(str(refused.value))


@pytest.mark.parametrize("text", REFUSED_BY_THE_RECIPE)
def test_an_override_that_no_run_could_carry_out_costs_its_row(tmp_path: Path, text: str) -> None:
    (message,) = refused_rows(write_manifest(tmp_path / "m.parquet", recipe_overrides=[text]))

    assert REFUSED_BY_THE_RECIPE[text] in message


def test_an_object_keeps_its_values() -> None:
    assert json_object(' {"a": 1, "b": {"c": [1.5, true, null, "ü"]}} ') == {"a": 1, "b": {"c": [1.5, True, None, "ü"]}}
