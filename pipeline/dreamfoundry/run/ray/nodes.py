"""The nodes of a Ray cluster: live ones, draining ones, and the call that drains one.

Ray has no public call for this. Ray's private calls are here and nowhere else, and
tests/contract/test_nodes.py checks them against the installed version.

A node that drains gets no new work; whatever runs there goes on, also past the deadline. A draining
node on which nothing runs any more leaves the cluster by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from dreamfoundry.errors import InfrastructureError

PREEMPTION = "DRAIN_NODE_REASON_PREEMPTION"
"""The machine will be taken away: Ray's drain is never refused for this reason."""

ANSWER_TIMEOUT_S = 10.0
"""For callers that can try again. A run cannot: it waits longer (`run.ray.workers`)."""


def drain(node_id: str, message: str, deadline_at_s: float = math.inf, *, address: str = "") -> None:
    """Announce that the machine of a node will be taken away at `deadline_at_s`, in Unix time.

    `message` is the reason, for Ray's log. A second call replaces the deadline. `address` is the
    "host:port" of the head's GCS; without one, the Ray that this process is connected to is meant.
    InfrastructureError if the head does not answer, or knows no such live node.
    """
    from ray.core.generated import autoscaler_pb2

    messages: Any = autoscaler_pb2  # made by protoc: without annotations
    deadline_ms = 0 if math.isinf(deadline_at_s) else int(1000 * deadline_at_s)
    reason = messages.DrainNodeReason.Value(PREEMPTION)
    if node_id not in alive_nodes(address=address):  # Ray itself says yes to any id
        raise InfrastructureError(f"node {node_id} cannot be drained: it is not among the live nodes of the cluster")
    with _head(address) as head:
        is_accepted, refusal = head.drain_node(node_id, reason, message, deadline_ms)
    if not is_accepted:
        raise InfrastructureError(f"node {node_id} was not drained: {refusal}")


def draining(*, address: str = "", timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, float]:
    """The nodes that drain, each with its deadline in Unix time; infinity where none was given.

    Includes nodes whose deadline is over but that still live.
    """
    with _head(address) as head:
        deadlines_ms = head.get_draining_nodes(timeout=timeout_s)
    return {node_id: 0.001 * ms if ms else math.inf for node_id, ms in deadlines_ms.items()}


def alive_nodes(*, address: str = "", timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, str]:
    """The ids of the nodes that live, draining ones among them, each with its IP address.

    After a machine has vanished without notice its node counts as alive until the head misses it,
    by default for about 15 s.
    """
    from ray.core.generated import gcs_pb2

    messages: Any = gcs_pb2
    with _head(address) as head:
        nodes = head.get_all_node_info(timeout=timeout_s)
    return {
        node_id.hex(): node.node_manager_address
        for node_id, node in nodes.items()
        if node.state == messages.GcsNodeInfo.ALIVE
    }


def nodes_here(*, address: str) -> list[str]:
    """The live nodes of the cluster at `address` that run on this machine."""
    here = ray.util.get_node_ip_address(address)
    return [node_id for node_id, ip in alive_nodes(address=address).items() if ip == here]


@contextmanager
def _head(address: str) -> Iterator[Any]:
    """A client of the head's GCS; its errors become InfrastructureError."""
    raylet: Any = ray._raylet
    try:
        yield raylet.GcsClient(address=address or ray.get_runtime_context().gcs_address)
    except ray.exceptions.RayError as error:
        raise InfrastructureError(f"the Ray head at {address or 'this cluster'} does not answer: {error}") from None
