"""The manifest: every fault is found before any work, and costs no more than it must."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import ManifestError, Stopped
from dreamfoundry.manifest.reader import LostRows, ManifestReport, read_prompts, scan
from dreamfoundry.records import Prompt
from dreamfoundry.settings.field import RenderConfig
from dreamfoundry.settings.recipe import Recipe
from support.manifests import flip_bytes, write_manifest


def numbered(path: Path, count: int) -> Path:
    return write_manifest(path, prompt_id=[f"row-{number}" for number in range(count)])


def prompts(path: Path, report: ManifestReport) -> list[Prompt]:
    return list(read_prompts(path, report.skip_rows))


def test_two_columns_are_enough(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.parquet", prompt_id=["one"], prompt=["a  red\nchair "])

    assert prompts(path, scan(path)) == [Prompt("one", "a red chair", target_height_m=0.9)]


def test_every_column_reaches_the_prompt(tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path / "m.parquet",
        prompt_id=["one"],
        prompt=["a red chair"],
        negative_prompt=["blurry"],
        seed=pa.array([2**63 - 1], pa.int64()),
        priority=pa.array([-1], pa.int32()),
        tags=[["furniture", "red"]],
        target_height_m=[0.9],
        budget_profile=["mobile"],
        recipe_overrides=['{"optimize.num_steps": 200}'],
        view_prompts=['{"back": "the back of a red chair"}'],
    )

    assert prompts(path, scan(path)) == [
        Prompt(
            "one",
            "a red chair",
            negative_text="blurry",
            seed=2**63 - 1,
            priority=-1,
            tags=("furniture", "red"),
            target_height_m=0.9,
            budget_profile="mobile",
            view_texts={"back": "the back of a red chair"},
            overrides={"optimize.num_steps": 200},
        )
    ]


def test_other_widths_dictionaries_and_nulls_are_read(tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path / "m.parquet",
        prompt_id=pa.array(["one", "two"]).dictionary_encode(),
        prompt=pa.array(["a red chair", "a red chair"], pa.large_string()),
        seed=pa.array([3, None], pa.uint8()),
        target_height_m=pa.array([2, None], pa.int32()),
        negative_prompt=pa.nulls(2),
    )

    assert prompts(path, scan(path)) == [
        Prompt("one", "a red chair", seed=3, target_height_m=2.0),
        Prompt("two", "a red chair", target_height_m=0.9),
    ]


def test_columns_that_nobody_reads_are_reported_once(tmp_path: Path) -> None:
    for name in ("0.parquet", "1.parquet"):
        write_manifest(tmp_path / name, prompt_id=[name], prompt=["a red chair"], artist=["me"])

    assert scan(tmp_path).ignored_columns == ("artist",)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"prompt_id": ["one"], "promt": ["a red chair"]}, "'prompt' is missing; is 'promt' meant"),
        ({"prompt": ["a red chair"]}, "'prompt_id' is missing"),
        ({"prompt_id": ["one"], "prompt": ["x"], "seed": ["7"]}, "'seed' has type string: must be int64"),
        ({"prompt_id": ["one"], "prompt": ["x"], "tags": ["a"]}, "'tags' has type string: must be list"),
        ({"prompt_id": [True], "prompt": ["x"]}, "'prompt_id' has type bool: must be string"),
        ({"prompt_id": pa.array([], pa.string()), "prompt": pa.array([], pa.string())}, "no rows"),
    ],
)
def test_26_a_fault_of_the_file_refuses_it(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table(columns), path)

    with pytest.raises(ManifestError, match=reason):
        scan(path)


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    cut = numbered(tmp_path / "cut.parquet", 10)
    cut.write_bytes(cut.read_bytes()[:-20])
    text = tmp_path / "prompts.txt"
    text.write_text("a red chair\n")

    with pytest.raises(ManifestError, match=r"no footer: it is cut off"):
        scan(cut)
    with pytest.raises(ManifestError, match=r"not a Parquet file.*dreamfoundry make"):
        scan(text)
    with pytest.raises(ManifestError, match="no such file"):
        scan(tmp_path / "absent.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match=r"holds no \*\.parquet"):
        scan(tmp_path / "empty")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("prompt_id", None, "prompt_id is missing"),
        ("prompt_id", "../up", "a unique name"),
        ("prompt_id", ".hidden", "a unique name"),
        ("prompt_id", "x" * 129, "a unique name"),
        ("prompt", None, "must not be empty"),
        ("prompt", " \n ", "must not be empty"),
        ("prompt", "x" * 1001, "at most 1000 characters, has 1001"),
        ("prompt", "a\x00chair", "control characters"),
        ("seed", -1, "seed = -1: must be from 0"),
        ("target_height_m", float("nan"), "must be from 0.01 to 100"),
        ("target_height_m", 0.0, "must be from 0.01 to 100"),
        ("budget_profile", "tiny", "must be one of preview"),
        ("tags", ["red", None], "tags[1] is missing: must not be empty"),
        ("recipe_overrides", "{", "must be a JSON object"),
        ("recipe_overrides", "[1]", "must be a JSON object"),
        ("recipe_overrides", "[" * 60_000, "must be a JSON object"),
        ("recipe_overrides", '{"optimize.nun_steps": 1}', "did you mean 'num_steps'"),
        ("recipe_overrides", '{"optimize.num_steps": 0}', "must be from 1 to 1000000"),
        ("recipe_overrides", '{"prior.path": "elsewhere"}', "must not change the prior"),
        ("view_prompts", '{"left": "x"}', "front, side, back, overhead"),
        ("view_prompts", '{"front": 1}', "front, side, back, overhead"),
    ],
)
def test_26_a_fault_of_a_row_is_named_and_costs_that_row(tmp_path: Path, column: str, value: Any, reason: str) -> None:
    columns: dict[str, Any] = {"prompt_id": ["one", "two"], "prompt": ["a red chair", "a blue chair"]}
    columns[column] = [value, columns.get(column, [None, None])[1]]
    path = write_manifest(tmp_path / "m.parquet", **columns)

    report = scan(path)

    (error,) = report.row_errors
    assert reason in str(error)
    assert error.row == 0
    assert error.prompt_id == (None if column == "prompt_id" else "one")
    assert [prompt.prompt_id for prompt in prompts(path, report)] == ["two"]


def test_26_a_row_with_bad_utf8_costs_that_row(tmp_path: Path) -> None:
    texts = pa.array([b"a red chair", b"a \xff chair", b"caf\xc3\xa9"], pa.binary()).cast(pa.string(), safe=False)
    path = write_manifest(tmp_path / "m.parquet", prompt_id=["one", "two", "three"], prompt=texts)

    report = scan(path)

    assert [(error.row, error.prompt_id) for error in report.row_errors] == [(1, "two")]
    assert "must be UTF-8 (byte 2 is not)" in str(report.row_errors[0])
    assert [prompt.text for prompt in prompts(path, report)] == ["a red chair", "café"]


def test_all_faults_of_rows_are_listed(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.parquet", prompt_id=[f"row-{n}" for n in range(700)], prompt=[""] * 700)

    report = scan(path)

    assert [error.row for error in report.row_errors] == list(range(700))
    assert report.num_prompts == 0


def test_the_caller_may_refuse_more(tmp_path: Path) -> None:
    path = numbered(tmp_path / "m.parquet", 3)

    report = scan(path, lambda prompt: "nobody knows this word" if "1 legs" in prompt.text else None)

    assert [str(error) for error in report.row_errors] == ["row 1 (row-1): nobody knows this word"]
    assert [prompt.prompt_id for prompt in prompts(path, report)] == ["row-0", "row-2"]


def test_overrides_are_tried_on_the_recipe_of_the_run(tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path / "m.parquet",
        prompt_id=["one"],
        prompt=["a red chair"],
        recipe_overrides=['{"guidance.timestep_low": 0.5}'],
    )
    default = Recipe()
    low_only = Recipe(guidance=type(default.guidance)(timestep_high=type(default.guidance.timestep_high)(0.3, 0.3)))

    assert scan(path, recipe=Recipe(render=RenderConfig(image_px=32))).row_errors == ()
    assert len(scan(path, recipe=low_only).row_errors) == 1


def test_08_the_same_row_twice_is_one_prompt(tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path / "m.parquet", prompt_id=["b", "a", "b", "b"], prompt=["chair", "car", "chair", " chair "]
    )

    report = scan(path)

    assert list(report.repeated) == [(2, 0), (3, 0)]
    assert report.num_prompts == 2
    assert [prompt.prompt_id for prompt in prompts(path, report)] == ["b", "a"]


def test_08_one_id_with_two_contents_is_a_conflict(tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path / "m.parquet", prompt_id=["a", "b", "c", "b"], prompt=["chair", "car", "mug", "tree"]
    )

    report = scan(path)

    assert list(report.conflicts) == [(3, 1)]
    assert [prompt.prompt_id for prompt in prompts(path, report)] == ["a", "b", "c"]


def test_25_a_damaged_row_group_costs_only_its_rows(tmp_path: Path) -> None:
    path = numbered(tmp_path / "m.parquet", 500)
    flip_bytes(path, row_group=2)

    report = scan(path)

    (lost,) = report.lost
    assert lost == LostRows("m.parquet", 2, 200, 299, lost.reason)
    assert "CRC" in lost.reason
    assert report.num_lost_rows == 100
    assert report.num_prompts == 400
    assert [prompt.prompt_id for prompt in prompts(path, report)] == [
        f"row-{number}" for number in range(500) if not 200 <= number < 300
    ]


def test_parts_are_read_by_name_and_rows_counted_through(tmp_path: Path) -> None:
    write_manifest(tmp_path / "b.parquet", prompt_id=["b"], prompt=[""])
    write_manifest(tmp_path / "a.parquet", prompt_id=["a0", "a1"], prompt=["chair", "car"])

    report = scan(tmp_path)

    assert report.num_rows == 3
    assert [error.row for error in report.row_errors] == [2]
    assert [prompt.prompt_id for prompt in prompts(tmp_path, report)] == ["a0", "a1"]


def test_the_digest_follows_the_bytes(tmp_path: Path) -> None:
    first, same, other = (tmp_path / name for name in ("first.parquet", "same.parquet", "other.parquet"))
    numbered(first, 3)
    same.write_bytes(first.read_bytes())
    numbered(other, 4)

    assert scan(first).digest == scan(same).digest != scan(other).digest


def test_rows_are_counted_while_they_are_read(tmp_path: Path) -> None:
    counted: list[int] = []

    scan(numbered(tmp_path / "m.parquet", 1000), on_progress=counted.append)

    assert counted == sorted(counted)
    assert counted[-1] == 1000
    assert max(after - before for before, after in zip([0, *counted], counted, strict=False)) <= 256


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5, 8])
def test_a_scan_stops_when_it_is_asked_to(tmp_path: Path, stop_at: int) -> None:
    path = numbered(tmp_path / "m.parquet", 1000)
    num_asked = 0

    def should_stop() -> bool:
        nonlocal num_asked
        num_asked += 1
        return num_asked >= stop_at

    with pytest.raises(Stopped):
        scan(path, should_stop=should_stop)
    assert num_asked == stop_at


def test_a_row_without_a_height_gets_a_typical_one_and_tells_where_it_is_from(tmp_path: Path) -> None:
    texts = ["a yellow chair", "a yellow chair", "a pink torus"]
    path = write_manifest(
        tmp_path / "m.parquet",
        prompt_id=["ordered", "typical", "unknown"],
        prompt=texts,
        target_height_m=[0.4, None, None],
    )

    found = {prompt.prompt_id: (prompt.target_height_m, prompt.scale_source) for prompt in prompts(path, scan(path))}

    assert found == {"ordered": (0.4, "manifest"), "typical": (0.9, "words"), "unknown": (1.0, "default")}
