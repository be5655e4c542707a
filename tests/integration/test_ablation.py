"""The program that compares recipes keeps what it has measured and refuses what it cannot change."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ABLATION = Path(__file__).parents[2] / "jobs" / "ablation.py"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SUITE = """
about = "Three steps or two."
changes.snapshot.grid_resolution = 32
[[variants]]
name = "three"
changes.optimize.num_steps = 3
[[variants]]
name = "two"
changes.optimize.num_steps = {}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    prompts = folder / "prompts.txt"
    prompts.write_text("a red sphere\n")
    small = ["--processes", "1", "--seeds", "1", "--prompts", str(prompts)]
    command = [sys.executable, str(ABLATION), *arguments, *small, "--output", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ)


def test_a_second_run_makes_only_what_is_missing_or_stale_and_its_page_counts_only_what_holds(tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(SUITE.format(1))
    first = run(tmp_path, str(suite))
    assert first.returncode == 0, first.stderr
    kept = (tmp_path / "results.jsonl").read_text()
    assert len(kept.splitlines()) == 2

    suite.write_text(SUITE.format(2))
    second = run(tmp_path, str(suite), "--docs", str(tmp_path / "docs"))
    assert second.returncode == 0, second.stderr
    lines = (tmp_path / "results.jsonl").read_text()
    assert lines.startswith(kept)
    assert [json.loads(line)["num_steps"] for line in lines.splitlines()] == [3, 1, 2]

    figures = json.loads((tmp_path / "mine" / "figures.json").read_text())
    assert [(variant["variant"], variant["asked"]) for variant in figures["variants"]] == [("three", 1), ("two", 1)]
    page = (tmp_path / "docs" / "mine.md").read_text()
    assert "Three steps or two." in page
    assert f"jobs/ablation.py {suite}" in page
    assert (tmp_path / "docs" / "mine.png").exists()
    assert (tmp_path / "docs" / "mine_fields.png").exists()


def test_without_time_nothing_is_started_and_the_page_is_written_all_the_same(tmp_path: Path) -> None:
    done = run(tmp_path, "--variant", "plain", "--minutes", "0")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results.jsonl").read_text() == ""
    assert (tmp_path / "quick" / "quick.md").exists()


def test_an_unknown_key_or_suite_is_refused_before_any_work(tmp_path: Path) -> None:
    typo = run(tmp_path, "--variant", "typo; guidance.guidance_scal = 3.0")
    missing = run(tmp_path, "papers")

    assert typo.returncode != 0
    assert "did you mean 'guidance_scale'" in typo.stderr
    assert missing.returncode != 0
    assert "no such file" in missing.stderr
    assert not (tmp_path / "results.jsonl").exists()
