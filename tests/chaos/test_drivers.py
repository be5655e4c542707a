"""Several drivers on one library, and workers that hang: nothing is lost and nothing is made twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.object_store.protocol import ObjectStore
from support.processes import actor_pid, is_running, wait_until
from support.runs import Start, checkpoints, reports

NUM_STEPS = 300
NAMES = ["one", "two", "three", "four", "five", "six"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def manifest(write_manifest: Callable[..., str]) -> str:
    return write_manifest(prompt_id=NAMES, prompt=[f"a ball {name}" for name in NAMES])


def ended(driver: subprocess.Popen[str], *codes: int) -> str:
    output, _ = driver.communicate(timeout=250)
    assert driver.returncode in codes, output
    return output


def num_steps(store: ObjectStore) -> int:
    return sum(report.num_steps for report in reports(store))


def test_02_two_drivers_on_one_library_publish_every_asset_once_and_share_the_steps(
    start: Start, manifest: str, s3_url: str
) -> None:
    library = f"{s3_url}/race"
    drivers = [start(manifest, library, NUM_STEPS, "--slots", "2", "--limit", "lease_s=20") for _ in range(2)]
    for driver in drivers:
        ended(driver, 0, 75)

    store = open_store(library)
    assert sum(outcome.state == "published" for outcome in Library(store).outcomes()) == len(NAMES)
    assert sum(report.published for report in reports(store)) == len(NAMES), "each by one of the two"
    assert num_steps(store) <= 1.05 * len(NAMES) * NUM_STEPS
    assert not list(store.list("leases/"))
    assert not list(store.list("checkpoints/"))


def test_03_a_driver_that_was_thought_dead_wakes_up_and_changes_nothing(
    ray_cluster: Any, start: Start, manifest: str, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    sleeper = start(manifest, library, NUM_STEPS, "--slots", "6")
    store = open_store(library)
    wait_until(lambda: len(checkpoints(store)) == len(NAMES), "every prompt has a checkpoint")
    worker = actor_pid(ray_cluster, "distiller-0/1")
    for pid in (sleeper.pid, worker):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(4.0)  # longer than its leases

    ended(start(manifest, library, NUM_STEPS), 0)
    decided = {key: store.get(key) for key in store.list("outcomes/")}
    assert len(decided) == len(NAMES)
    for pid in (worker, sleeper.pid):
        os.kill(pid, signal.SIGCONT)
    ended(sleeper, 0)

    assert {key: store.get(key) for key in store.list("outcomes/")} == decided
    assert sorted(report.published for report in reports(store)) == [0, len(NAMES)]


def test_23_a_worker_that_hangs_is_killed_and_its_prompt_is_charged_and_published(
    ray_cluster: Any, start: Start, write_manifest: Callable[..., str], tmp_path: Path
) -> None:
    manifest = write_manifest(prompt_id=["one"], prompt=["a ball one"])
    driver = start(manifest, tmp_path / "library", NUM_STEPS, "--limit", "slice_limit_s=6")
    store = open_store(tmp_path / "library")
    wait_until(lambda: checkpoints(store), "a checkpoint")
    worker = actor_pid(ray_cluster, "distiller-0/1")
    os.kill(worker, signal.SIGSTOP)

    ended(driver, 0)
    (outcome,) = Library(store).outcomes()
    assert (outcome.state, outcome.tries) == ("published", 2)
    wait_until(lambda: not is_running(worker), "the hanging process is gone", timeout_s=10.0)
