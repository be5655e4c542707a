"""Ray's private calls about nodes answer as we rely on, on a real cluster of several raylets."""

from __future__ import annotations

import logging
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.errors import InfrastructureError
from dreamfoundry.run.ray import nodes
from support.private_ray import private_nodes
from support.processes import wait_until

SPOT_WATCH = Path(__file__).parents[2] / "infra" / "spot_watch.py"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster(environment: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without processors; `ray` is connected to it."""
    import ray

    with private_nodes() as made:
        ray.init(made.address, log_to_driver=False, logging_level=logging.ERROR)
        yield made
        ray.shutdown()


@pytest.fixture
def worker(cluster: Any) -> Iterator[Any]:
    """A node with one processor, which goes away with the test."""
    node = cluster.add_node(num_cpus=1)
    yield node
    if node.any_processes_alive():
        cluster.remove_node(node)
    wait_until(lambda: node.node_id not in nodes.alive_nodes(), "the head misses it")


@pytest.fixture
def busy_worker(worker: Any) -> Iterator[Any]:
    """The same with an actor on it: a draining node without work leaves at once."""
    import ray

    class Guest:
        def pid(self) -> int:
            return os.getpid()

    guest: Any = ray.remote(num_cpus=1)(Guest).remote()
    ray.get(guest.pid.remote(), timeout=300)
    worker.guest = guest
    yield worker
    ray.kill(guest)


def test_a_new_node_is_alive_with_its_address_and_does_not_drain(worker: Any) -> None:
    assert nodes.alive_nodes()[worker.node_id] == worker.node_ip_address
    assert nodes.draining() == {}


def test_a_drained_node_is_named_with_its_last_deadline_and_what_runs_there_goes_on(busy_worker: Any) -> None:
    import ray

    nodes.drain(busy_worker.node_id, "a recommendation")
    assert nodes.draining()[busy_worker.node_id] == math.inf
    deadline_at_s = time.time() + 3.0
    nodes.drain(busy_worker.node_id, "a notice", deadline_at_s)
    assert nodes.draining()[busy_worker.node_id] == pytest.approx(deadline_at_s, abs=0.01)
    time.sleep(4.0)
    assert busy_worker.node_id in nodes.alive_nodes(), "the deadline is ours to keep, Ray ends nothing"
    assert ray.get(busy_worker.guest.pid.remote(), timeout=10) > 0


def test_a_draining_node_leaves_when_its_last_actor_has_ended(busy_worker: Any) -> None:
    import ray

    nodes.drain(busy_worker.node_id, "a test", time.time() + 100.0)
    ray.kill(busy_worker.guest)
    wait_until(lambda: busy_worker.node_id not in nodes.alive_nodes(), "the node leaves")
    assert busy_worker.node_id not in nodes.draining()


def test_a_process_outside_of_ray_asks_by_address(cluster: Any, worker: Any) -> None:
    assert worker.node_id in nodes.alive_nodes(address=cluster.address)


def test_a_node_that_does_not_exist_is_named(cluster: Any) -> None:
    with pytest.raises(InfrastructureError, match="a" * 56):
        nodes.drain("a" * 56, "a test", time.time() + 10.0)


def test_a_head_that_does_not_answer_is_named(cluster: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InfrastructureError, match=address):
            nodes.alive_nodes(address=address)


def spot_watch(cluster: Any, node_id: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SPOT_WATCH), "--address", cluster.address, "--node-id", node_id, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_18_a_notice_of_the_cloud_drains_the_node_within_10_s(
    cluster: Any, busy_worker: Any, metadata_service: Any
) -> None:
    program = spot_watch(cluster, busy_worker.node_id, "--metadata-url", metadata_service.url)
    try:
        wait_until(lambda: metadata_service.num_questions >= 2, "the watcher asks")
        assert nodes.draining() == {}
        deadline_at_s = float(int(time.time() + 120.0))
        time_text = f"{datetime.fromtimestamp(deadline_at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
        metadata_service.documents["spot/instance-action"] = {"action": "terminate", "time": time_text}
        wait_until(lambda: busy_worker.node_id in nodes.draining(), "the node drains", timeout_s=10.0)
        assert nodes.draining() == {busy_worker.node_id: deadline_at_s}
    finally:
        program.terminate()
        output, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    assert len([line for line in output.splitlines() if busy_worker.node_id in line]) == 1


def test_a_prestop_hook_drains_and_waits_until_the_node_has_left(cluster: Any, busy_worker: Any) -> None:
    import ray

    program = spot_watch(cluster, busy_worker.node_id, "--now", "100")
    wait_until(lambda: busy_worker.node_id in nodes.draining(), "the node drains")
    assert program.poll() is None, "something runs there still"
    ray.kill(busy_worker.guest)
    program.communicate(timeout=60)
    assert program.returncode == 0
    assert busy_worker.node_id not in nodes.alive_nodes()


def test_a_machine_knows_the_nodes_that_run_on_it(cluster: Any, worker: Any) -> None:
    assert set(nodes.nodes_here(address=cluster.address)) == set(nodes.alive_nodes())
