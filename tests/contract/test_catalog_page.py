"""docs/CATALOG.md: its columns are those of the catalog, and its queries answer what they say."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.file_roles import role_of
from dreamfoundry.library import catalog
from dreamfoundry.library.entries import Entries
from dreamfoundry.library.lost_rows import NONE_LOST
from dreamfoundry.library.projections import summaries
from dreamfoundry.library.rows import Row
from dreamfoundry.records import BlobRef, Outcome

PAGE = (Path(__file__).parents[2] / "docs" / "CATALOG.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
GLB = "model/gltf-binary"


def outcome(number: int, prompt_id: str, state: str = "published", **changes: Any) -> Outcome:
    field = {"prompt": f"a {prompt_id}", "seed": number, "negative_prompt": ""}
    files = {name: BlobRef(f"{number:064x}", 100 * number, GLB) for name in ("a.glb", "a_LOD1.glb", "a_collision.glb")}

    values: dict[str, Any] = {
        "asset_key": f"{number:064x}",
        "field_key": "f" * 64,
        "prompt_id": prompt_id,
        "prompt": f"a {prompt_id}",
        "state": state,
        "slug": "a",
        "files": {**files, "thumbnail.png": BlobRef("0" * 64, 1, "image/png")} if state == "published" else {},
        "scores": {"triangles": 1000.0 * number} if state == "published" else {},
        "provenance": {
            "created_at": f"2026-01-0{number}T00:00:00Z",
            "budget_profile": "mobile" if number % 2 else "preview",
            "recipe_name": "toybox",
            "optimize_s": 1800.0,
            "export_s": 1800.0,
            "request": {"field": field},
        },
    }
    return Outcome(**{**values, **changes})


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A chair twice, a mushroom that took two seeds, a fog that failed, a bad row; and a manifest beside it."""
    given = [
        outcome(1, "chair"),
        outcome(2, "chair"),
        outcome(3, "mushroom", "quarantined", failure_class="flat", message="thin as paper"),
        outcome(4, "mushroom"),
        outcome(5, "fog", "quarantined", failure_class="empty", message="no view shows anything"),
        outcome(6, "bad", "quarantined", failure_class="bad_row", message="seed = -1", field_key=""),
    ]
    recorded = [Row("mushroom", f"{4:064x}", ("forest", "red"), 5), Row("chair", f"{2:064x}", ("wood", "forest"), 0)]
    with Entries(given, [], recorded) as entries:
        for key, file, _ in summaries(entries, NONE_LOST):
            path = tmp_path / "library" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            file.seek(0)
            path.write_bytes(file.read())

    names = ["mushroom", "chair", "fog", "new"]
    pq.write_table(
        pa.table({"prompt_id": names, "prompt": [f"a {name}" for name in names]}), tmp_path / "manifest.parquet"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def path_of(number: int, prompt_id: str, name: str) -> str:
    return f"assets/{prompt_id}/{number:064x}/{name}"


def test_the_page_has_a_line_for_every_column_with_its_type_in_their_order() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    kinds = {field.name: str(field.type) for field in catalog.SCHEMA}
    told = {}
    for line in lines:
        name, kind, meaning = (cell.strip() for cell in line.strip("|").split(" | "))
        told[name.strip("` ")] = kind.replace("\\", "")
        assert meaning

    assert list(told) == list(kinds)
    for name, kind in told.items():
        actual = kinds[name].replace("element: ", "").replace(", tz=", ", ").replace(" ('scores')", "")
        assert actual == kind or (kind == "list<struct>" and actual.startswith("list<struct<")), name


def test_the_page_names_every_role() -> None:
    names = (
        "a.glb",
        "a_dense.glb",
        "a_collision.glb",
        "a_unreal.glb",
        "a_godot.glb",
        "a.usdz",
        "a_web.glb",
        "a.glb.c2pa",
    )
    others = ("thumbnail.png", "thumb_512.webp", "turntable.webp", "turntable.mp4", "asset.json", "validation.json")
    roles = {role_of(name, "a").name for name in (*names, *others)}

    assert len(roles) == 14
    assert [role for role in roles if f"`{role}`" not in PAGE] == []


Answer = list[tuple[Any, ...]]


@pytest.fixture
def answer(library: Path) -> Callable[[int], Answer]:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")

    def ask(number: int) -> Answer:
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        rows: Answer = connection.sql(QUERIES[number]).fetchall()
        return rows

    return ask


def test_there_are_five_queries_and_a_program_for_each_other_tool() -> None:
    assert (len(QUERIES), len(PROGRAMS)) == (5, 2)


def test_the_first_query_tells_of_every_row_of_the_manifest_what_became_of_it(answer: Callable[[int], Answer]) -> None:
    rows = answer(0)

    assert [row[:4] for row in rows] == [
        ("chair", "a chair", path_of(2, "chair", "a.glb"), 2000),
        ("fog", "a fog", None, None),
        ("mushroom", "a mushroom", path_of(4, "mushroom", "a.glb"), 4000),
        ("new", "a new", None, None),
    ]
    assert [str(row[4])[:10] for row in rows] == ["2026-01-02", "None", "2026-01-04", "None"]


def test_the_second_query_tells_what_has_no_asset_and_why(answer: Callable[[int], Answer]) -> None:
    assert [row[:4] for row in answer(1)] == [
        ("bad", "a bad", "bad_row", "seed = -1"),
        ("fog", "a fog", "empty", "no view shows anything"),
    ]


def test_the_third_query_finds_assets_by_tag(answer: Callable[[int], Answer]) -> None:
    assert answer(2) == [
        ("mushroom", ["forest", "red"], path_of(4, "mushroom", "thumbnail.png")),
        ("chair", ["wood", "forest"], path_of(2, "chair", "thumbnail.png")),
    ]


def test_the_fourth_query_lists_levels_and_hulls_of_current_assets(answer: Callable[[int], Answer]) -> None:
    assert answer(3) == [
        (prompt_id, role, level, path_of(number, prompt_id, name), 100 * number)
        for number, prompt_id in ((2, "chair"), (4, "mushroom"))
        for role, level, name in (
            ("level", 0, "a.glb"),
            ("level", 1, "a_LOD1.glb"),
            ("collision", None, "a_collision.glb"),
        )
    ]


def test_the_fifth_query_counts_cost_and_failures_by_recipe_and_profile(answer: Callable[[int], Answer]) -> None:
    assert answer(4) == [("toybox", "mobile", 3, 2, 3.0, 1000.0), ("toybox", "preview", 2, 0, 2.0, 3000.0)]


@pytest.mark.parametrize(
    ("tool", "found"), [("pandas", ["mushroom", "chair"]), ("polars", ["mushroom", "chair", "fog", "new"])]
)
def test_the_programs_run_and_print_what_they_say(
    library: Path, tool: str, found: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(tool, reason=f"{tool} is not installed", exc_type=ImportError)
    (program,) = [program for program in PROGRAMS if f"import {tool} " in program]
    (library / "program.py").write_text(program, encoding="utf-8")

    runpy.run_path(str(library / "program.py"))

    named = re.compile(r"(?<![\w/])(mushroom|chair|fog|new|bad)\b(?!/)")
    lines = capsys.readouterr().out.splitlines()
    assert [match[1] for line in lines if (match := named.search(line))] == found
