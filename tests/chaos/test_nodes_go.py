"""Machines go, with and without notice: real raylets, a driver as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.run.ray import nodes
from support.private_ray import private_nodes
from support.processes import children, wait_until
from support.runs import Start, checkpoints, reports, running_driver, steps_saved

NUM_STEPS = 400
NOTICE_S = 10.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def cluster(environment: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without processors and two nodes with two each."""
    with private_nodes() as made:
        for _ in range(2):
            made.add_node(num_cpus=2)
        yield made


def raylet_pid(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def distillers(node: Any) -> list[int]:
    """Processes on a node that optimise."""
    return children(raylet_pid(node), "ray::DistillActor")


def node_of_optimizer(cluster: Any) -> Any:
    (node,) = [node for node in cluster.worker_nodes if distillers(node)]
    return node


@pytest.fixture
def night(
    cluster: Any, write_manifest: Callable[..., str], ball_recipe_file: Callable[[int], str], tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], ObjectStore]]:
    """A driver with two prompts that has saved its first steps."""
    manifest = write_manifest(prompt_id=["one", "two"], prompt=["a ball one", "a ball two"])
    library = tmp_path / "library"
    store = open_store(library)
    with running_driver(manifest, library, ball_recipe_file(NUM_STEPS), RAY_ADDRESS=cluster.address) as driver:
        wait_until(lambda: len(checkpoints(store)) == 2, "both prompts have a checkpoint")
        yield driver, store


def all_published_uncharged(driver: subprocess.Popen[str], store: ObjectStore) -> list[int]:
    """Wait for the end, check it, and return the steps from which the assets were resumed."""
    output, _ = driver.communicate(timeout=250)
    assert driver.returncode == 0, output
    outcomes = list(Library(store).outcomes())
    assert [(outcome.state, outcome.tries) for outcome in outcomes] == [("published", 1)] * 2
    resumed = [outcome.provenance["resumed_from_step"] for outcome in outcomes]
    return [step for step in resumed if isinstance(step, int)]


def test_15_when_a_node_dies_its_work_moves_and_no_prompt_is_charged(
    cluster: Any, night: tuple[subprocess.Popen[str], ObjectStore]
) -> None:
    driver, store = night
    node = node_of_optimizer(cluster)
    saved = steps_saved(store)
    os.kill(raylet_pid(node), signal.SIGKILL)

    resumed_from = all_published_uncharged(driver, store)
    assert min(resumed_from) > 0
    assert max(resumed_from) >= saved


def test_16_before_a_drained_node_goes_its_work_is_saved_and_no_step_is_made_twice(
    cluster: Any, night: tuple[subprocess.Popen[str], ObjectStore]
) -> None:
    driver, store = night
    node = node_of_optimizer(cluster)
    notice_at = time.time()
    nodes.drain(node.node_id, "a test takes the machine", notice_at + NOTICE_S, address=cluster.address)

    wait_until(lambda: not distillers(node), "the distiller has saved its work and is gone", NOTICE_S)
    resumed_from = all_published_uncharged(driver, store)
    assert len(resumed_from) == 2
    assert min(resumed_from) > 0
    (only,) = reports(store)
    assert only.num_steps == 2 * NUM_STEPS, "no step is made twice"


def test_20_after_the_whole_cluster_is_gone_the_same_command_finishes_on_another(
    cluster: Any,
    night: tuple[subprocess.Popen[str], ObjectStore],
    start: Start,
    tmp_path: Path,
) -> None:
    driver, store = night
    saved = steps_saved(store)
    for node in (cluster.head_node, *cluster.worker_nodes):
        for name in ("gcs_server", "raylet"):
            for info in node.all_processes.get(name, ()):
                os.kill(info.process.pid, signal.SIGKILL)
    driver.communicate(timeout=200)
    assert driver.returncode not in (0, 3), "the run has not finished"

    manifest = str(tmp_path / "manifest.parquet")
    second = start(manifest, tmp_path / "library", NUM_STEPS)
    assert min(all_published_uncharged(second, store)) >= 0
    assert saved > 0


def test_45_a_node_whose_card_is_gone_leaves_the_cluster_and_its_work_is_done_elsewhere(
    environment: pytest.MonkeyPatch, write_manifest: Callable[..., str], tmp_path: Path
) -> None:
    prompts = [f"a {color} {kind}" for color in ("red", "green", "blue") for kind in ("chair", "car", "mug", "cone")]
    manifest = write_manifest(prompt_id=[f"row-{number}" for number in range(len(prompts))], prompt=prompts)
    library = tmp_path / "library"
    command = [sys.executable, "-m", "support.stub_build", manifest, str(library), "broken_card"]

    with private_nodes() as cluster:
        broken = cluster.add_node(num_cpus=4).node_id
        variables = {**os.environ, "RAY_ADDRESS": cluster.address, "PYTHONPATH": str(Path(__file__).parents[1])}
        with subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            wait_until(lambda: broken not in nodes.alive_nodes(address=cluster.address), "the node has left")
            cluster.add_node(num_cpus=4)
            output, _ = run.communicate(timeout=200)

    assert run.returncode == 0, output
    assert f"node {broken} gets no more work" in output
    assert f"{len(prompts)} published" in output
    assert {outcome.tries for outcome in Library(open_store(library)).outcomes()} == {1}, "no prompt is charged"
