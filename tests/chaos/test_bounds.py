"""Memory and requests of a driver do not grow with its manifest, and a finished run is not repeated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamfoundry.diffusion.weights import prior_identity
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Prompt
from dreamfoundry.run.messages import Failure
from dreamfoundry.run.outcomes import quarantined_outcome
from dreamfoundry.run.planning.plan import Plan
from dreamfoundry.run.planning.resolution import PlanInputs
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import recipe_from_toml
from dreamfoundry.settings.recipe import Recipe
from support.processes import run_job

PROGRAM = Path(__file__).with_name("endless_night.py")
FLOOD = Path(__file__).with_name("flood.py")
MAX_GROWTH_MIB = 50.0


def night(num_rows: int, folder: Path) -> dict[str, float]:
    folder.mkdir()
    done = subprocess.run([sys.executable, str(PROGRAM), str(num_rows), str(folder)], capture_output=True, text=True)
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


@pytest.mark.slow
@pytest.mark.timeout(6000)
@pytest.mark.parametrize("num_rows", [100_000, 1_000_000])
def test_31_the_memory_of_a_driver_does_not_grow_with_the_manifest(num_rows: int, tmp_path: Path) -> None:
    small, large = night(10_000, tmp_path / "small"), night(num_rows, tmp_path / "large")
    print(small, large)
    assert large["peak_mib"] - small["peak_mib"] <= MAX_GROWTH_MIB


@pytest.mark.slow
def test_33_a_flood_of_log_lines_fills_neither_the_driver_nor_the_disk(environment: pytest.MonkeyPatch) -> None:
    bound = 1_000_000
    with tempfile.TemporaryDirectory(prefix="df-", dir="/tmp") as folder:  # short: Ray's sockets lie below
        variables = {**os.environ, "TMPDIR": folder, "RAY_ROTATION_MAX_BYTES": str(bound)}
        command = [sys.executable, str(FLOOD), "400000", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=variables)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["printed_bytes"] > 20 * bound
    assert 0 < figures["kept_bytes"] < 3 * bound, "two parts of one log, and what Ray itself has to say"
    assert figures["driver_growth_mib"] < 5.0


def test_06_a_finished_run_decides_so_before_ray_starts_and_writes_only_its_report(
    write_manifest: Callable[..., str], ball_recipe_file: Callable[[int], str], tmp_path: Path
) -> None:
    prompts = [Prompt(f"row-{n}", f"a toy number {n}") for n in range(300)]
    manifest = write_manifest(
        prompt_id=[p.prompt_id for p in prompts],
        prompt=[p.text for p in prompts],
        target_height_m=[p.target_height_m for p in prompts],
    )
    recipe_file = ball_recipe_file(4)
    recipe: Recipe = recipe_from_toml(Path(recipe_file))
    store = DirectoryStore(tmp_path / "library")
    plan = Plan(
        prompts,
        Library(store),
        PlanInputs(recipe, export_profile("preview"), prior_identity(recipe.prior)),
    )
    for build in plan.builds():
        Library(store).publish(quarantined_outcome(build, Failure("empty", "why"), 1, {"run_id": "an earlier one"}))

    def run() -> subprocess.CompletedProcess[str]:
        arguments = (manifest, str(tmp_path / "library"), "--recipe", recipe_file)
        return run_job("build_library.py", *arguments, RAY_ADDRESS="nowhere:1")

    first = run()
    assert first.returncode == 3, first.stderr
    before = {stat.key: stat.modified_s for stat in store.stats()}
    second = run()
    assert second.returncode == 3, second.stderr
    assert "300 skipped" in second.stdout
    assert "0 optimisation steps" in second.stdout
    changed = {stat.key for stat in store.stats() if before.get(stat.key) != stat.modified_s}
    assert len(changed) == 1
    assert changed.pop().endswith("/report.json")
