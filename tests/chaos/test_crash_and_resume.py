"""Real processes die in the middle of a run; the number in a name is that of the check."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.recipe import Recipe
from support.processes import actor_pid, is_running, wait_until
from support.runs import Start, reports, running_build, steps_saved

pytestmark = pytest.mark.timeout(300)

NUM_STEPS = 400


@pytest.fixture
def long_request(
    write_manifest: Callable[..., str], ball_recipe: Recipe, tiny_profile: ExportProfile, tmp_path: Path
) -> RunRequest:
    """One prompt of NUM_STEPS tiny steps on Ray; checkpoints as often as may be."""
    recipe = replace(ball_recipe, optimize=replace(ball_recipe.optimize, num_steps=NUM_STEPS))
    manifest = write_manifest(prompt_id=["one"], prompt=["a ball one"])
    limits = Limits(slice_s=0.3, checkpoint_s=0.3, drain_s=30.0)
    return RunRequest(manifest, str(tmp_path / "library"), recipe, tiny_profile, num_slots=1, limits=limits)


def test_10_a_killed_optimizer_goes_on_from_its_last_checkpoint(ray_cluster: Any, long_request: RunRequest) -> None:
    store = open_store(long_request.library)
    with running_build(long_request) as run:
        wait_until(lambda: steps_saved(store) >= NUM_STEPS // 4, "a checkpoint after a quarter of the steps")
        saved = steps_saved(store)
        os.kill(actor_pid(ray_cluster, "distiller-0/1"), signal.SIGKILL)
        assert run.result(timeout=200).report.status == "complete"

    (outcome,) = Library(store).outcomes()
    resumed_from = outcome.provenance["resumed_from_step"]
    assert isinstance(resumed_from, int)
    assert saved <= resumed_from < NUM_STEPS
    assert not list(store.list("checkpoints/")), "a published asset needs no checkpoint"


@pytest.fixture
def manifest(write_manifest: Callable[..., str]) -> str:
    return write_manifest(prompt_id=["one", "two"], prompt=["a ball one", "a ball two"])


@pytest.mark.slow
def test_12_after_the_driver_is_killed_its_actors_go_and_the_same_command_finishes(
    ray_cluster: Any, start: Start, manifest: str, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    first = start(manifest, library, NUM_STEPS)
    store = open_store(library)
    wait_until(lambda: any(store.list("leases/")), "a prompt is in a slot")
    pid = actor_pid(ray_cluster, "distiller-0/1")
    first.kill()
    first.wait()

    wait_until(lambda: not is_running(pid), "the distiller is gone", timeout_s=5.0)
    assert not list(store.list("outcomes/"))
    second = start(manifest, library, NUM_STEPS)
    output, _ = second.communicate(timeout=250)
    assert second.returncode == 0, output
    assert "2 published" in output


@pytest.mark.slow
def test_19_a_terminated_driver_saves_its_work_and_exits_with_75_and_the_next_run_makes_no_step_twice(
    start: Start, manifest: str, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    first = start(manifest, library, NUM_STEPS)
    store = open_store(library)
    wait_until(lambda: any(store.list("leases/")), "a prompt is in a slot")
    time.sleep(3.0)
    first.terminate()
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 75, output
    assert 0 < steps_saved(store) < NUM_STEPS

    second = start(manifest, library, NUM_STEPS)
    output, _ = second.communicate(timeout=250)
    assert second.returncode == 0, output
    assert sorted(one.status for one in reports(store)) == ["complete", "drained"]
    assert sum(one.num_steps for one in reports(store)) == 2 * NUM_STEPS, "no step is made twice"


def test_19_a_second_signal_ends_a_driver_at_once(start: Start, manifest: str, tmp_path: Path) -> None:
    driver = start(manifest, tmp_path / "library", NUM_STEPS)
    store = open_store(tmp_path / "library")
    wait_until(lambda: any(store.list("leases/")), "a prompt is in a slot")
    driver.send_signal(signal.SIGTERM)
    time.sleep(0.2)  # two equal signals at once would be one
    driver.send_signal(signal.SIGTERM)
    driver.wait(timeout=5.0)
    assert driver.returncode == 75
