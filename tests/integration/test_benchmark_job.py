"""`jobs/benchmark.py` as a person runs it, on a recipe so small that its ratios mean nothing."""

import json
from pathlib import Path

import pytest
from PIL import Image

from support.processes import run_job

SMALL = {
    "optimize.views_per_step": 1,
    "render.image_px": 8,
    "render.samples_per_ray": 4,
    "render.later": "[]",
    "field.level_resolutions": "[8]",
    "snapshot.grid_resolution": 24,
    "looks.at": "[]",
    "gates.min_flatness_ratio": 0,
}
SETTINGS = [f"--set={key}={value}" for key, value in SMALL.items()]


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_figures_ratios_and_a_plot_come_out_of_one_run(tmp_path: Path) -> None:
    short = [
        "--slots",
        "2",
        "--repeats",
        "1",
        "--steps",
        "2",
        "--baseline-steps",
        "1",
        "--whole",
        "4",
        "--window",
        "0.1",
    ]
    short += ["--operators", "--beside-exports", "1"]
    outputs = ["--json", str(tmp_path / "figures.json"), "--plot", str(tmp_path / "plot.png")]
    answer = run_job("benchmark.py", *short, *outputs, *SETTINGS, OMP_NUM_THREADS="1", timeout_s=900.0)

    assert answer.returncode == 0, answer.stdout + answer.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    cases = figures["cases"]
    assert list(cases) == ["baseline", "with the recipe's samples", "with our field too", "K = 2"]
    assert figures["fastest"] == "K = 2"
    ratio = cases["K = 2"]["assets_per_hour"] / cases["baseline"]["assets_per_hour"]
    assert figures["assets_per_hour_ratio"] == pytest.approx(ratio)
    product = 1.0
    for factor in figures["factors"].values():
        product *= factor
    assert product == pytest.approx(figures["step_ratio"])
    assert figures["whole_asset"]["num_steps"] == 4
    assert "asset.json" in figures["whole_asset"]["files"]
    (pair,) = figures["side_by_side"]
    assert (pair["count"], pair["threads"]) == (2, 1)
    assert pair["steps_per_s"] > 0
    (beside,) = figures["beside_exports"]
    assert (beside["case"], beside["count"]) == ("K = 2", 1)
    assert beside["share_kept"] > 0.0
    ((stage, operators),) = figures["operators"].items()
    assert stage == "8 px x 4"
    assert operators[0]["share"] >= operators[1]["share"] > 0.0
    assert sum(one["share"] for one in operators) <= 1.0
    assert all(0.0 < efficiency < 1.0 for efficiency in figures["prior_efficiency"].values())
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 400
    assert answer.stdout.splitlines()[-1].startswith("K = 2: ")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_loops_are_judged_against_the_true_toy_and_nothing_is_made_twice(tmp_path: Path) -> None:
    few = ["--prompts", "2", "--set=optimize.num_steps=3", "--output", str(tmp_path), *SETTINGS]
    first, again = (run_job("benchmark_quality.py", *few, OMP_NUM_THREADS="1") for _ in range(2))

    assert first.returncode == 0, first.stdout + first.stderr
    rows = [json.loads(line) for line in (tmp_path / "quality.jsonl").read_text().splitlines()]
    assert [row["loop"] for row in rows] == ["main loop", "baseline"] * 2
    assert first.stdout == again.stdout, "the second run finds its rows, times included"
    assert "main loop: kind right" in first.stdout
    assert "main loop minus baseline, F-score at 5 %: " in first.stdout


def test_a_recipe_that_cannot_be_used_is_one_message(tmp_path: Path) -> None:
    answer = run_job("benchmark.py", "--set", "optimize.num_stepps=3")
    assert answer.returncode == 4
    assert "num_stepps" in answer.stderr
    assert "Traceback" not in answer.stderr
