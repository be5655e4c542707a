"""docs/MANIFEST.md: its columns are those of the reader, and each of its examples is the manifest that it says."""

import re
import runpy
from pathlib import Path

import pytest

from dreamfoundry.manifest.bounds import MAX_ROWS, MAX_TEXT_BYTES
from dreamfoundry.manifest.reader import read_prompts, scan
from dreamfoundry.manifest.row import COLUMNS
from dreamfoundry.manifest.sources.addresses import MAX_SOURCE_BYTES
from dreamfoundry.manifest.sources.kinds import KINDS
from dreamfoundry.manifest.sources.prompt_ids import words_id
from dreamfoundry.manifest.sources.reading import MAX_SOURCE_ROWS
from dreamfoundry.records import Prompt
from support.sources import prompts

PAGE = (Path(__file__).parents[2] / "docs" / "MANIFEST.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

MUSHROOM = Prompt("a_red_mushroom", "a red mushroom", seed=7, tags=("forest", "red"), target_height_m=0.3)
CHAIR = Prompt("chair", "a small, yellow chair", target_height_m=0.9)


def test_the_page_has_a_line_for_every_column_as_the_reader_knows_it() -> None:
    for column in COLUMNS:
        kind = str(column.type).replace("item: ", "").replace("<", "\\<").replace(">", "\\>")
        assert f"| `{column.name}` | {kind} | {column.meaning} |" in PAGE
    assert f"A source has at most {MAX_SOURCE_ROWS:,} prompts and {MAX_SOURCE_BYTES // 2**20} MiB" in PAGE
    assert f"at most {MAX_ROWS:,} rows, a text at most {MAX_TEXT_BYTES // 2**10} KiB" in PAGE


def test_every_kind_of_source_has_an_example() -> None:
    assert {"text", "csv", "jsonl", "json"} <= {kind for kind, _ in BLOCKS}
    assert [suffix for suffix in KINDS if f"`{suffix}`" not in PAGE and suffix] == []


@pytest.mark.parametrize(("kind", "content"), [block for block in BLOCKS if block[0] in ("csv", "jsonl", "json")])
def test_an_example_becomes_the_prompts_of_the_page(tmp_path: Path, kind: str, content: str) -> None:
    assert prompts(tmp_path, f"prompts.{kind}", content) == [MUSHROOM, CHAIR]


def test_the_text_becomes_prompts_without_more(tmp_path: Path) -> None:
    content = next(content for kind, content in BLOCKS if kind == "text")

    assert [prompt.text for prompt in prompts(tmp_path, "prompts.txt", content)] == [MUSHROOM.text, CHAIR.text]


def test_ids_are_made_as_the_page_says() -> None:
    table = PAGE[PAGE.index("### Ids") :]

    assert f"`a red mushroom` | `{words_id('a red mushroom')}` |" in table
    assert f"`红色的椅子` | `{words_id('红色的椅子')}`:" in table


@pytest.mark.parametrize("tool", ["pandas", "polars", "duckdb"])
def test_a_table_of_another_tool_holds_the_same_prompts(
    tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip(tool)
    monkeypatch.chdir(tmp_path)
    (program,) = [
        content for kind, content in BLOCKS if f"import {tool} " in content or (tool, kind) == ("duckdb", "sql")
    ]

    if tool == "duckdb":
        module.sql(program)
    else:
        (tmp_path / "program.py").write_text(program, encoding="utf-8")
        runpy.run_path("program.py")
    report = scan(tmp_path / "prompts.parquet")
    assert (report.num_prompts, report.warnings, report.ignored_columns) == (2, (), ())
    assert list(read_prompts(tmp_path / "prompts.parquet")) == [MUSHROOM, CHAIR]
