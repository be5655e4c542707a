"""Rays that belong to a test: one that this process is connected to, or several nodes on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE_S = 300
"""For a raylet and what it starts, while other programs want the processors as well."""

SETTINGS = {
    # A killed raylet refuses connections and is missed within seconds; a slow one answers in the end.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_agent_register_timeout_ms": f"{1000 * PATIENCE_S}",  # without its agents a raylet ends itself
    "RAY_worker_register_timeout_seconds": f"{PATIENCE_S}",
}


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
                logging_level="error",
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

    `get_node` is the look by which a starting node waits for itself: Ray gives up after 30 s, and has
    no setting for that.
    """
    from ray._private import services

    get_node = services.get_node

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
        patch.setattr(services, "get_node", look)
        yield patch
