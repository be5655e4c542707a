"""Programs of this project as processes, waiting for what processes do, and looking at them from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

JOBS = Path(__file__).parents[2] / "jobs"

MARK = "DREAMFOUNDRY_TEST_MARK"
"""A variable by which a test finds everything that it has started, however far down."""


def run_job(name: str, *arguments: str, timeout_s: float = 280.0, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program of jobs/ as from a shell, to its end; `variables` are added to its environment."""
    return subprocess.run(
        [sys.executable, str(JOBS / name), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "PYTHONPATH": str(JOBS.with_name("pipeline")), **variables},
    )


def wait_until(happens: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not happens():
        if time.monotonic() > end_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)


def wait_until_gone(mark: str, timeout_s: float) -> None:
    """Until no process carries the mark; the error names those that do."""
    try:
        wait_until(lambda: not marked_processes(mark), "every process has ended", timeout_s)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; there are {marked_processes(mark)}") from None


def marked_processes(mark: str) -> dict[int, str]:
    """Processes other than this one whose MARK has this value, with their command lines."""
    found = {}
    for folder in _process_folders():
        with suppress(OSError):  # gone meanwhile, or not ours to see
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = _command_line(folder)
    found.pop(os.getpid(), None)
    return found


def children(pid: int, word: str) -> list[int]:
    """Processes that the process `pid` has started, with `word` in their command lines."""
    found = []
    for folder in _process_folders():
        with suppress(OSError):
            if int(_state(folder)[1]) == pid and word in _command_line(folder):
                found.append(int(folder.name))
    return found


def members(group: int) -> dict[int, str]:
    """Running processes of a process group, with their command lines."""
    found = {}
    for folder in _process_folders():
        with suppress(OSError):
            state = _state(folder)
            if state[0] != "Z" and int(state[2]) == group:
                found[int(folder.name)] = _command_line(folder)
    return found


def is_running(pid: int) -> bool:
    """False for a process that has ended, also while its parent has not taken note."""
    try:
        return _state(Path(f"/proc/{pid}"))[0] != "Z"
    except OSError:
        return False


def actors(ray: Any, name: str) -> list[dict[str, str]]:
    """The actors whose names end in `name`: "{worker}/{incarnation}"."""
    return [entry for entry in ray.util.list_named_actors(all_namespaces=True) if entry["name"].endswith(name)]


def actor_pid(ray: Any, name: str) -> int:
    """The process of such an actor; LookupError if it is not there, or gone before it has answered."""
    for entry in actors(ray, name):
        with suppress(ray.exceptions.RayError, ValueError):  # ValueError: gone since it was listed
            actor = ray.get_actor(entry["name"], namespace=entry["namespace"])
            return int(ray.get(actor.pid.remote(), timeout=60))
    raise LookupError(f"no actor {name}")


def _process_folders() -> list[Path]:
    return list(Path("/proc").glob("[0-9]*"))


def _command_line(folder: Path) -> str:
    return (folder / "cmdline").read_text(errors="replace").replace("\0", " ")


def _state(folder: Path) -> list[str]:
    """Fields of /proc/PID/stat behind the name: the state, the parent, the process group, and so on."""
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
