"""A quiet Ray: the cluster at RAY_ADDRESS if there is one, else a private one for this run."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dreamfoundry.errors import InfrastructureError

OBJECT_STORE_BYTES = 100 * 2**20
"""Nothing big passes through Ray."""

LISTENER_TIMEOUT_S = 10.0

LOG_BYTES = 32 * 2**20
"""Output of one process before its log is rotated; one older part is kept."""


@contextmanager
def ray_session(num_cpus: int, *, needs_gpu: bool = False) -> Iterator[None]:
    """Connect for the duration of a `with`, and leave what was there as it was.

    A Ray that this process is connected to already is used and kept. With RAY_ADDRESS set (as it
    is inside `ray job submit`) that cluster is joined. Otherwise a private Ray with `num_cpus`
    logical processors is started in a temporary folder of its own and ended afterwards; InfrastructureError
    where it `needs_gpu` and this machine has none, since its workers would wait for ever.
    """
    _prepare_environment()
    import ray

    if ray.is_initialized():
        yield
        return
    folder = None if joins_a_ray() else _short_folder()
    try:
        with _own_signal_handlers():
            _connect(folder, num_cpus)
        if needs_gpu and folder is not None and not ray.cluster_resources().get("GPU"):
            raise InfrastructureError(
                "device = 'cuda': Ray sees no GPU on this machine; use --device cpu, or a cluster (RAY_ADDRESS)"
            )
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def joins_a_ray() -> bool:
    """True if a session would use an existing Ray, which has its own number of processors."""
    ray = sys.modules.get("ray")
    return bool(os.environ.get("RAY_ADDRESS")) or (ray is not None and ray.is_initialized())


def _connect(folder: Path | None, num_cpus: int) -> None:
    """Start a private Ray in `folder`, or without one join the cluster at RAY_ADDRESS."""
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if folder is None:
            _require_listener(os.environ["RAY_ADDRESS"])
            ray.init(**quiet)
            return
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
            **quiet,
        )
    except (OSError, RuntimeError, ValueError) as error:
        remedy = "a private Ray could not be started on this machine; --no-ray does without"
        if folder is None:
            address = os.environ["RAY_ADDRESS"]
            remedy = f"RAY_ADDRESS = {address!r} cannot be reached; correct it, or unset it for a private Ray"
        raise InfrastructureError(f"{remedy} ({' '.join(str(error).split())})") from None


def _require_listener(address: str) -> None:
    """OSError when nothing listens at "host:port": Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=LISTENER_TIMEOUT_S).close()


def _prepare_environment() -> None:
    """Set the variables that Ray reads when it is imported or started."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ROTATION_MAX_BYTES", str(LOG_BYTES))  # unset, Ray lets them grow without end
    os.environ.setdefault("RAY_ROTATION_BACKUP_COUNT", "1")
    if "RAY_ADDRESS" not in os.environ and "RAY_AUTH_MODE" not in os.environ:
        # left alone, a private Ray writes its token into the home folder, for every later one.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))


def _short_folder() -> Path:
    """Ray puts sockets below it, whose paths may have 107 bytes at most."""
    parent = Path(tempfile.gettempdir())
    return Path(tempfile.mkdtemp(prefix="df-", dir=parent if len(str(parent)) < 30 else "/tmp"))


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Keep the handlers of the program: ray.init sets its own for SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
