"""Ports of this machine for servers of the tests."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import ExitStack
from typing import Any

PATIENCE_S = 120.0


def free_ports(count: int) -> list[int]:
    """Different ports on which nothing listens."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def wait_for_port(port: int, *servers: subprocess.Popen[Any]) -> None:
    """Until something listens there. RuntimeError if one of the servers ends first, TimeoutError if none listens."""
    end_s = time.monotonic() + PATIENCE_S
    while not _listens(port):
        for server in servers:
            if server.poll() is not None:
                raise RuntimeError(
                    f"{server.args!r} has ended with {server.returncode} and not listened on port {port}"
                )
        if time.monotonic() > end_s:
            raise TimeoutError(f"nothing listens on port {port} after {PATIENCE_S:g} s")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
