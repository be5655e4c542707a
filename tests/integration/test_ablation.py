"""The program that compares recipes keeps what it has measured and refuses what it cannot change."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ABLATION = Path(__file__).parents[2] / "jobs" / "ablation.py"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    prompts = folder / "prompts.txt"
    prompts.write_text("a red sphere\n")
    small = ["--processes", "1", "--prompts", str(prompts)]
    command = [sys.executable, str(ABLATION), *small, "--output", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_second_run_adds_only_what_is_missing(tmp_path):
    short, other = "short; optimize.num_steps = 3", "other; optimize.num_steps = 2; field.density_blob_scale = 8.0"
    first = run(tmp_path, "--variant", short)
    assert first.returncode == 0, first.stderr
    kept = (tmp_path / "results.jsonl").read_text()

    second = run(tmp_path, "--variant", short, "--variant", other, "--json", str(tmp_path / "figures.json"))
    assert second.returncode == 0, second.stderr
    rows = (tmp_path / "results.jsonl").read_text()
    assert rows.startswith(kept) and len(rows.splitlines()) == 2
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [variant["variant"] for variant in figures["variants"]] == ["short", "other"]
    assert [row["num_steps"] for row in figures["rows"]] == [3, 2]
    assert (tmp_path / "pictures.png").exists()


def test_an_unknown_key_is_refused_before_any_work(tmp_path):
    refused = run(tmp_path, "--variant", "typo; guidance.guidance_scal = 3.0")

    assert refused.returncode != 0
    assert "did you mean 'guidance_scale'" in refused.stderr
    assert not (tmp_path / "results.jsonl").exists()
