"""Tables of pandas, polars, DuckDB and fastparquet are read as they are; the extra `tables` brings these writers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import scan
from dreamfoundry.records import Prompt
from support.manifests import refused_rows, sound_prompts

pytestmark = pytest.mark.slow

NAN = float("nan")
CHAIR = Prompt("chair", "a red chair", seed=7, tags=("wood", "old"), target_height_m=0.9)
MUG = Prompt("mug", "a mug", target_height_m=0.1)
COLUMNS: dict[str, list[Any]] = {
    "prompt_id": ["chair", "mug"],
    "prompt": ["a red chair", "a mug"],
    "negative_prompt": [None, None],
    "seed": [7, None],
    "tags": [["wood", "old"], None],
    "target_height_m": [0.9, None],
}


@pytest.mark.parametrize("engine", ["pyarrow", "fastparquet"])
def test_a_frame_of_pandas_with_gaps(tmp_path: Path, engine: str) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip(engine)
    path = tmp_path / "m.parquet"
    columns = {name: values for name, values in COLUMNS.items() if engine == "pyarrow" or name != "tags"}

    pandas.DataFrame(columns).to_parquet(path, engine=engine, index=False)

    chair = CHAIR if engine == "pyarrow" else Prompt("chair", "a red chair", seed=7, target_height_m=0.9)
    assert sound_prompts(path) == [chair, MUG]


@pytest.mark.parametrize("kind", ["category", "string", "string[pyarrow]", "large_string[pyarrow]", "object"])
def test_every_text_of_pandas(tmp_path: Path, kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "m.parquet"
    frame = pandas.DataFrame({"prompt_id": ["chair", "mug"], "prompt": ["a red chair", "a mug"]})

    frame.astype({"prompt": kind, "prompt_id": kind}).to_parquet(path)

    assert [prompt.text for prompt in sound_prompts(path)] == ["a red chair", "a mug"]
    assert scan(path).ignored_columns == ()


def test_an_index_of_pandas_is_ignored_and_named(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"prompt_id": ["chair"], "prompt": ["a red chair"]}, index=pandas.Index([5], name="row"))
    frame.to_parquet(tmp_path / "m.parquet")

    assert scan(tmp_path / "m.parquet").ignored_columns == ("row",)


@pytest.mark.parametrize("seed", [["Int64", [7, None]], ["UInt32", [7, None]], ["float64", [7, NAN]]])
def test_every_number_of_pandas(tmp_path: Path, seed: list[Any]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"prompt_id": [1, 0], "prompt": ["x", "y"], "seed": pandas.array(seed[1], dtype=seed[0])})
    frame.to_parquet(tmp_path / "m.parquet")

    assert [(one.prompt_id, one.seed) for one in sound_prompts(tmp_path / "m.parquet")] == [("1", 7), ("0", 0)]


def test_a_fraction_of_pandas_costs_its_row(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"prompt_id": ["a", "b"], "prompt": ["x", "y"], "seed": [1.0, 1.5]})
    frame.to_parquet(tmp_path / "m.parquet")

    (message,) = refused_rows(tmp_path / "m.parquet")
    assert "row 1 (b): seed = 1.5: must be a whole number" in message


def test_dicts_of_pandas_are_refused_with_what_would_work(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"prompt_id": ["a"], "prompt": ["x"], "recipe_overrides": [{"optimize.num_steps": 3}]})
    frame.to_parquet(tmp_path / "m.parquet")

    with pytest.raises(ManifestError, match="write it as JSON text"):
        scan(tmp_path / "m.parquet")


@pytest.mark.parametrize("how", [{}, {"use_pyarrow": True}, {"statistics": False, "compression": "snappy"}])
def test_a_frame_of_polars(tmp_path: Path, how: dict[str, Any]) -> None:
    polars = pytest.importorskip("polars")
    polars.DataFrame(COLUMNS).write_parquet(tmp_path / "m.parquet", **how)

    assert sound_prompts(tmp_path / "m.parquet") == [CHAIR, MUG]


def test_partitions_categories_and_arrays_of_polars(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({**COLUMNS, "tags": [["wood", "old"], ["cup", "new"]], "date": ["1", "2"]})
    frame = frame.with_columns(polars.col("prompt").cast(polars.Categorical))
    frame = frame.with_columns(polars.col("tags").cast(polars.Array(polars.String, 2)))
    for (date,), part in frame.group_by("date"):
        (tmp_path / f"date={date}").mkdir()
        part.drop("date").write_parquet(tmp_path / f"date={date}" / "0.parquet")

    report = scan(tmp_path)

    assert (report.num_prompts, report.ignored_columns) == (2, ("date",))
    assert sound_prompts(tmp_path)[1].tags == ("cup", "new")


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_query_of_duckdb(tmp_path: Path, version: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "m.parquet"
    duckdb.sql(f"""COPY (
        SELECT 'chair' AS prompt_id, 'a red chair' AS prompt, 7 AS seed, ['wood', 'old'] AS tags,
               0.9::DOUBLE AS target_height_m, '{{"optimize.num_steps": 3}}'::JSON AS recipe_overrides
        UNION ALL SELECT 'mug', 'a mug', NULL, NULL, NULL, NULL
    ) TO '{path}' (FORMAT parquet, PARQUET_VERSION {version})""")

    chair, mug = sound_prompts(path)
    assert (chair.seed, chair.tags, chair.target_height_m) == (7, ("wood", "old"), 0.9)
    assert (chair.overrides, mug) == ({"optimize.num_steps": 3}, MUG)


def test_numbered_rows_and_partitions_of_duckdb(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    duckdb.sql(f"""COPY (
        SELECT range AS prompt_id, 'a chair with ' || range || ' legs' AS prompt, range % 2 AS half FROM range(1000)
    ) TO '{tmp_path / "m"}' (FORMAT parquet, PARTITION_BY (half))""")

    report = scan(tmp_path / "m")

    assert (report.num_prompts, report.ignored_columns, report.not_read) == (1000, ("half",), ())


def test_decimals_of_duckdb_are_refused_with_what_would_work(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    duckdb.sql(f"""COPY (SELECT 'a' AS prompt_id, 'x' AS prompt, 0.9 AS target_height_m)
        TO '{tmp_path / "m.parquet"}' (FORMAT parquet)""")

    with pytest.raises(ManifestError, match=r"'target_height_m' has type decimal.*: must be double; write numbers"):
        scan(tmp_path / "m.parquet")


@pytest.mark.parametrize("column", ["big", "seed", "größe"])
@pytest.mark.parametrize("kind", ["Int128", "UInt128"])
def test_integers_of_128_bits_of_polars_are_named(tmp_path: Path, column: str, kind: str) -> None:
    polars = pytest.importorskip("polars")
    if not hasattr(polars, kind):
        pytest.skip(f"this polars has no {kind}")
    columns = {
        "prompt_id": ["chair"],
        "prompt": ["a red chair"],
        column: polars.Series([1], dtype=getattr(polars, kind)),
    }
    polars.DataFrame(columns).write_parquet(tmp_path / "m.parquet")

    with pytest.raises(
        ManifestError, match=rf"integers of more than 64 bits in {column}; cast them to int64, or leave"
    ):
        scan(tmp_path / "m.parquet")
