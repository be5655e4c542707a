"""What we rely on in Ray's private calls about nodes, on a real cluster of several raylets."""

from __future__ import annotations

import math
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dreamfoundry.cluster import nodes
from dreamfoundry.errors import InfrastructureError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors, in a folder of its own; `ray` is connected to it."""
    folder = tempfile.mkdtemp(prefix="df-", dir="/tmp")  # short: Ray's sockets lie below
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_TMPDIR", folder)  # the default folder says which cluster this machine is in
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        ray.init(made.address, log_to_driver=False, logging_level="error")
        yield made
        ray.shutdown()
        made.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def worker(cluster: Any) -> Iterator[Any]:
    """A node with one processor, which goes away with the test."""
    node = cluster.add_node(num_cpus=1)
    yield node
    if node.any_processes_alive():
        cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def busy_worker(worker: Any) -> Iterator[Any]:
    """The same with an actor on it: a draining node without work leaves at once."""
    import ray

    @ray.remote(num_cpus=1)
    class Guest:
        def pid(self) -> int:
            return os.getpid()

    guest: Any = Guest.remote()
    ray.get(guest.pid.remote(), timeout=60)
    worker.guest = guest
    yield worker
    ray.kill(guest)


def wait_until(happens: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not happens():
        assert time.monotonic() < end_s, f"not within {limit_s:g} s: {what}"
        time.sleep(0.1)


def test_a_new_node_is_alive_with_its_address_and_does_not_drain(worker: Any) -> None:
    assert nodes.alive_nodes()[worker.node_id] == worker.node_ip_address
    assert nodes.draining() == {}


def test_a_drained_node_is_named_with_its_deadline_and_what_runs_there_goes_on(busy_worker: Any) -> None:
    import ray

    deadline_at_s = time.time() + 3.0
    nodes.drain(busy_worker.node_id, "a test", deadline_at_s)
    assert nodes.draining()[busy_worker.node_id] == pytest.approx(deadline_at_s, abs=0.01)
    time.sleep(4.0)
    assert busy_worker.node_id in nodes.alive_nodes(), "the deadline is ours to keep, Ray ends nothing"
    assert ray.get(busy_worker.guest.pid.remote(), timeout=10) > 0


def test_a_later_notice_replaces_the_deadline(busy_worker: Any) -> None:
    nodes.drain(busy_worker.node_id, "a hint without a time")
    assert nodes.draining()[busy_worker.node_id] == math.inf
    deadline_at_s = time.time() + 100.0
    nodes.drain(busy_worker.node_id, "now with a time", deadline_at_s)
    assert nodes.draining()[busy_worker.node_id] == pytest.approx(deadline_at_s, abs=0.01)


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
