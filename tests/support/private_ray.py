"""Rays that belong to a test: one that this process is connected to, or several nodes on this machine."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.ports import free_ports

PATIENCE_S = 300
"""For a raylet and what it starts, while other programs want the processors as well."""

SETTINGS = {
    # A killed raylet refuses connections and is missed within seconds; a slow one answers in the end.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_agent_register_timeout_ms": f"{1000 * PATIENCE_S}",  # without its agents a raylet ends itself
    "RAY_worker_register_timeout_seconds": f"{PATIENCE_S}",
}

AGENT_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """Goes away with its block. Ray's sockets lie below, whose paths must not be long."""
    return tempfile.TemporaryDirectory(prefix="df-", dir="/tmp", ignore_cleanup_errors=True)


@contextmanager
def private_ray(num_cpus: int, **settings: Any) -> Iterator[Any]:
    """`ray`, connected to a Ray with so many logical processors; `settings` are more of ray.init's."""
    import ray

    with short_folder() as folder:
        with _patience():
            ray.init(
                address="local",
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=100 * 2**20,
                _temp_dir=folder,
                **settings,
            )
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def private_nodes() -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster` with a head without processors; `add_node` starts more raylets."""
    from ray.cluster_utils import Cluster

    with short_folder() as folder, _patience() as patch:
        patch.setenv("RAY_TMPDIR", folder)  # the default folder says which cluster this machine is in
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            yield cluster
        finally:
            cluster.shutdown()


@contextmanager
def _patience() -> Iterator[pytest.MonkeyPatch]:
    """A Ray that starts in this block may take its time.

    Two limits of Ray cannot be set from here. A raylet that its agents have not told their ports
    within 15 s ends itself: it finds ports that were chosen for them. A node that does not find
    itself in the cluster within 30 s gives up: its look takes longer.
    """
    from ray import _raylet
    from ray._private import node, services

    persist_port: Any = vars(_raylet)["persist_port"]  # which the types of Ray do not know
    start_raylet: Any = node.Node.start_raylet
    get_node: Any = services.get_node

    def start_with_ports(starting: Any, *arguments: Any, **settings: Any) -> None:
        for name, free in zip(AGENT_PORTS, free_ports(len(AGENT_PORTS)), strict=True):
            port = getattr(starting._ray_params, name) or free
            setattr(starting._ray_params, name, port)
            persist_port(starting._session_dir, starting._node_id, name, port)
        start_raylet(starting, *arguments, **settings)

    def look(*arguments: Any) -> Any:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return get_node(*arguments)
            except RuntimeError:  # not there yet, or the head is too busy to say
                if time.monotonic() > end_s:
                    raise
            time.sleep(0.2)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.setattr(node.Node, "start_raylet", start_with_ports)
        patch.setattr(services, "get_node", look)
        yield patch
