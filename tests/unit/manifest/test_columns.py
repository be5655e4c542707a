"""Columns: every type that holds the values as they are is read, and no value changes on the way."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.columns import plain_values
from dreamfoundry.manifest.reader import scan
from support.manifests import refused_rows, sound_prompts, write_manifest

NAN = float("nan")
TEXTS = ["a red chair", "ein Stuhl, grün", "a red chair"]
TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
    *(pa.dictionary(index, pa.string()) for index in (pa.int8(), pa.uint16(), pa.int32(), pa.int64())),
    pa.dictionary(pa.int32(), pa.large_string()),
    pa.dictionary(pa.int8(), pa.binary()),
]
LIST_TYPES = [
    pa.list_(pa.string()),
    pa.large_list(pa.large_string()),
    pa.list_(pa.string_view()),
    pa.list_view(pa.string()),
    pa.large_list_view(pa.string()),
    pa.list_(pa.dictionary(pa.int32(), pa.string())),
    pa.list_(pa.binary()),
]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_a_text_is_read_from_every_type_that_holds_texts(tmp_path: Path, kind: pa.DataType) -> None:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = pa.array([text.encode() for text in TEXTS], pa.binary()).cast(plain)
    texts = texts.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else texts

    prompts = sound_prompts(write_manifest(tmp_path / "m.parquet", prompt=texts, negative_prompt=texts))

    assert [prompt.text for prompt in prompts] == TEXTS
    assert [prompt.negative_text for prompt in prompts] == TEXTS


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "dictionary"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    ("num_rows", "rows_per_group"), [(300, 100), pytest.param(20_001, 20_001, marks=pytest.mark.slow)]
)
def test_texts_are_read_from_every_encoding_and_group(
    tmp_path: Path, encoding: str, version: str, num_rows: int, rows_per_group: int
) -> None:
    leaves = ("prompt_id", "prompt", "tags.list.element")
    texts = [f"a chair with {number} legs" for number in range(num_rows)]
    columns = {"prompt_id": list(map(str, range(num_rows))), "prompt": texts, "tags": [["a", "b"]] * num_rows}
    pa.parquet.write_table(
        pa.table(columns),
        tmp_path / "m.parquet",
        row_group_size=rows_per_group,
        data_page_version=version,
        use_dictionary=encoding == "dictionary",
        column_encoding=None if encoding == "dictionary" else dict.fromkeys(leaves, encoding),
    )

    prompts = sound_prompts(tmp_path / "m.parquet")

    assert [(prompt.text, prompt.tags) for prompt in prompts] == [(text, ("a", "b")) for text in texts]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_the_values_of_a_batch_are_the_same_from_every_type(kind: pa.DataType) -> None:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = pa.array([b"a", "ü".encode(), None, b"", b"a"], pa.binary()).cast(plain)
    texts = texts.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else texts

    for part in (slice(None), slice(1, 4), slice(3, 3)):
        batch = pa.record_batch({"prompt": texts[part], "artist": texts[part]})
        assert plain_values(batch) == {"prompt": [b"a", "ü".encode(), None, b"", b"a"][part]}


@pytest.mark.parametrize("kind", LIST_TYPES, ids=str)
def test_the_tags_of_a_batch_are_the_same_from_every_kind_of_list(kind: pa.DataType) -> None:
    tags = pa.array([["wood", "old"], None, [], ["red"]], kind)

    for part in (slice(None), slice(1, 3), slice(3, 4)):
        batch = pa.record_batch({"tags": tags[part]})
        assert plain_values(batch) == {"tags": [(b"wood", b"old"), None, (), (b"red",)][part]}


@pytest.mark.parametrize(
    "gaps", [pa.nulls(2), pa.array([NAN, None]), pa.array([None, None]).dictionary_encode()], ids=str
)
def test_gaps_of_a_batch_are_none(gaps: pa.Array) -> None:
    assert plain_values(pa.record_batch({"prompt": gaps, "seed": gaps})) == {"prompt": [None] * 2, "seed": [None] * 2}


@pytest.mark.parametrize("kind", LIST_TYPES, ids=str)
def test_tags_are_read_from_every_kind_of_list(tmp_path: Path, kind: pa.DataType) -> None:
    tags = pa.array([["wood", "old"], None, [], ["red"]], kind)

    prompts = sound_prompts(write_manifest(tmp_path / "m.parquet", tags=tags))

    assert [prompt.tags for prompt in prompts] == [("wood", "old"), (), (), ("red",)]


def test_tags_are_read_from_lists_of_a_fixed_size(tmp_path: Path) -> None:
    tags = pa.array([["wood", "old"], None, ["red", "new"]], pa.list_(pa.string(), 2))

    prompts = sound_prompts(write_manifest(tmp_path / "m.parquet", tags=tags))

    assert [prompt.tags for prompt in prompts] == [("wood", "old"), (), ("red", "new")]


@pytest.mark.parametrize("gap", [pa.nulls(2), pa.array([NAN, NAN]), pa.array([None, None], pa.float32())], ids=str)
@pytest.mark.parametrize("column", ["negative_prompt", "seed", "tags", "recipe_overrides", "budget_profile"])
def test_a_column_of_gaps_says_nothing_whatever_its_type(tmp_path: Path, column: str, gap: pa.Array) -> None:
    with_gaps = write_manifest(tmp_path / "gaps.parquet", **{column: gap})
    without = write_manifest(tmp_path / "without.parquet", prompt_id=["row-0", "row-1"])

    assert sound_prompts(with_gaps) == sound_prompts(without)


@pytest.mark.parametrize(
    "seeds",
    [
        pa.array([7, None, 0], pa.int8()),
        pa.array([7, None, 0], pa.uint64()),
        pa.array([7.0, NAN, 0.0]),
        pa.array([7.0, None, 0.0], pa.float32()),
        pa.array(np.array([7, NAN, 0], np.float16)),
        pa.array([7, None, 0]).dictionary_encode(),
    ],
    ids=lambda seeds: str(seeds.type),
)
def test_whole_numbers_are_read_from_every_type_of_number_gaps_included(tmp_path: Path, seeds: pa.Array) -> None:
    prompts = sound_prompts(write_manifest(tmp_path / "m.parquet", seed=seeds, priority=seeds))

    assert [(prompt.seed, prompt.priority) for prompt in prompts] == [(7, 7), (0, 0), (0, 0)]
    assert all(type(prompt.seed) is int for prompt in prompts)


@pytest.mark.parametrize("seed", [1.5, 0.1, -0.5, 2.0**60, float("inf"), float("-inf")])
def test_a_number_that_is_not_whole_or_not_exact_costs_its_row_and_is_never_cut(tmp_path: Path, seed: float) -> None:
    path = write_manifest(tmp_path / "m.parquet", seed=[1.0, seed])

    (message,) = refused_rows(path)
    assert message.startswith(f"row 1 (row-1): seed = {seed!r}: must be a whole number")


@pytest.mark.parametrize(
    ("column", "value"), [("seed", 2**63), ("seed", 2**64 - 1), ("priority", 2**31), ("priority", -(2**40))]
)
def test_a_number_beyond_its_range_costs_its_row(tmp_path: Path, column: str, value: int) -> None:
    kind = pa.uint64() if value > 0 else pa.int64()
    path = write_manifest(tmp_path / "m.parquet", **{column: pa.array([1, value], kind)})

    (message,) = refused_rows(path)
    assert f"{column} = {value}: must be from" in message


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.uint32()], ids=str)
def test_ids_that_are_whole_numbers_become_their_text_zero_included(tmp_path: Path, kind: pa.DataType) -> None:
    path = write_manifest(tmp_path / "m.parquet", prompt_id=pa.array([0, 7, 100], kind))

    assert [prompt.prompt_id for prompt in sound_prompts(path)] == ["0", "7", "100"]


@pytest.mark.parametrize("value", [1.0, 0.5, float("inf")])
def test_a_number_where_a_text_belongs_costs_its_row(tmp_path: Path, value: float) -> None:
    for column in ("prompt_id", "prompt", "negative_prompt", "recipe_overrides"):
        path = write_manifest(tmp_path / "m.parquet", **{column: pa.array([value])})

        (message,) = refused_rows(path)
        assert f"{column} = {value!r}: must be text: cast the column to string" in message


def test_a_column_of_json_is_read_as_text(tmp_path: Path) -> None:
    texts = ['{"optimize.num_steps": 200}', None]
    path = write_manifest(tmp_path / "m.parquet", recipe_overrides=pa.array(texts, pa.json_()))

    assert [prompt.overrides for prompt in sound_prompts(path)] == [{"optimize.num_steps": 200}, {}]
    batch = pa.record_batch({"recipe_overrides": pa.array(texts, pa.json_())})
    assert plain_values(batch) == {"recipe_overrides": [b'{"optimize.num_steps": 200}', None]}


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("seed", ["7"], r'string: must be int64; write whole numbers \(pandas: astype\("Int64"\)'),
        ("seed", [True], "bool: must be int64; write whole numbers"),
        ("seed", pa.array([1], pa.decimal128(5)), r"decimal128\(5, 0\): must be int64"),
        ("seed", pa.array([1], pa.timestamp("us")), r"timestamp\[us\]: must be int64"),
        ("target_height_m", ["0.9"], "string: must be double; write numbers"),
        ("target_height_m", [False], "bool: must be double"),
        ("tags", ["wood"], r'string: must be list<item: string>; write lists of texts, as in \["wood", "old"\]'),
        ("tags", [[1]], "must be list<item: string>; write lists of texts"),
        ("tags", [[[]]], "must be list<item: string>"),
        ("tags", [[{"name": "wood"}]], "must be list<item: string>"),
        ("prompt", [["a", "mug"]], "must be string; write it as text"),
        ("prompt", [True], "bool: must be string; write it as text"),
        ("prompt", [7], "int64: must be string; write it as text"),
        (
            "prompt_id",
            pa.array([bytes(16)], pa.binary(16)),
            r"fixed_size_binary\[16\]: must be string; write it as text",
        ),
        ("recipe_overrides", [{"optimize": {"num_steps": 200}}], "must be string; write it as JSON text"),
        ("view_prompts", pa.array([[("back", "x")]], pa.map_(pa.string(), pa.string())), "write it as JSON text"),
    ],
)
def test_a_type_that_cannot_hold_the_values_is_refused_with_what_would_work(
    tmp_path: Path, column: str, values: Any, reason: str
) -> None:
    path = write_manifest(tmp_path / "m.parquet", **{column: values})

    with pytest.raises(ManifestError, match=rf"m\.parquet: column '{column}' has type .*?{reason}"):
        scan(path)


@pytest.mark.parametrize("column", ["prompt_id", "prompt", "seed"])
def test_a_column_that_stands_in_the_file_twice_is_refused(tmp_path: Path, column: str) -> None:
    table = pa.table({"prompt_id": ["a"], "prompt": ["x"], "seed": [1]})
    twice = table.append_column(pa.field(column, table.schema.field(column).type), table[column])
    pa.parquet.write_table(twice, tmp_path / "m.parquet")

    with pytest.raises(ManifestError, match=f"column '{column}' stands in the file 2 times; keep one"):
        scan(tmp_path / "m.parquet")


def test_a_stranger_that_stands_in_the_file_twice_does_no_harm(tmp_path: Path) -> None:
    table = pa.table([["a"], ["x"], ["me"], ["you"]], names=["prompt_id", "prompt", "artist", "artist"])
    pa.parquet.write_table(table, tmp_path / "m.parquet")

    assert scan(tmp_path / "m.parquet").ignored_columns == ("artist",)


@pytest.mark.parametrize(
    ("stranger", "meant"),
    [("seeds", "seed"), ("Seed", "seed"), ("TAGS", "tags"), ("Negative Prompt", "negative_prompt")],
)
def test_a_column_that_is_nearly_one_of_ours_is_warned_about(tmp_path: Path, stranger: str, meant: str) -> None:
    report = scan(write_manifest(tmp_path / "m.parquet", **{stranger: ["7"]}))

    assert report.ignored_columns == (stranger,)
    assert report.warnings == (f"column {stranger!r} is not read; is {meant!r} meant?",)


@pytest.mark.parametrize("stranger", ["Prompt", "PROMPT", " prompt", "promt"])
def test_a_required_column_under_another_name_is_refused_with_a_hint(tmp_path: Path, stranger: str) -> None:
    pa.parquet.write_table(pa.table({"prompt_id": ["a"], stranger: ["x"]}), tmp_path / "m.parquet")

    with pytest.raises(ManifestError, match=f"column 'prompt' is missing; is '{stranger}' meant"):
        scan(tmp_path / "m.parquet")
