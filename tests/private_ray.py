"""Rays that belong to a test: one that this process is connected to, or several nodes on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """Goes away with its block. Ray's sockets lie below, whose paths must not be long."""
    return tempfile.TemporaryDirectory(prefix="df-", dir="/tmp", ignore_cleanup_errors=True)


@contextmanager
def private_ray(num_cpus: int, **settings: Any) -> Iterator[Any]:
    """`ray`, connected to a Ray with so many logical processors; `settings` are more of ray.init's."""
    import ray

    with short_folder() as folder:
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

    with short_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)  # the default folder says which cluster this machine is in
        patch.setenv("RAY_health_check_period_ms", "1000")  # a killed raylet refuses connections: missed within seconds
        patch.setenv("RAY_health_check_timeout_ms", "60000")  # a slow one answers in the end
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            yield cluster
        finally:
            cluster.shutdown()
