"""Child processes of this package: how they find it, what they cost, and that they do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1

_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None  # loaded here: not after a fork


def package_environment() -> dict[str, str]:
    """The environment of this process, in which a Python child can import this package."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def die_with(parent: int) -> None:
    """Have Linux kill this process when `parent`, the process that started it, ends.

    Called in the child. More precisely, Linux waits for the thread that made the child. SystemExit
    if the parent has ended already. Elsewhere than on Linux nothing kills the child.
    """
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the parent ended first")


def cpu_s(pid: int) -> float | None:
    """CPU seconds so far of process `pid`, of its living descendants and of those that were waited for.

    None where there is no /proc. Groups and sessions are no bound: a browser has its own.
    """
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()  # the name may hold spaces
            number = int(stat.parent.name)
            parents[number], ticks[number] = int(fields[1]), sum(map(int, fields[11:15]))
    if pid not in ticks:
        return None
    children: dict[int, list[int]] = {}
    for number, parent in parents.items():
        children.setdefault(parent, []).append(number)
    tree = [pid]
    for number in tree:
        tree.extend(children.get(number, ()))
    return sum(ticks[number] for number in tree) / os.sysconf("SC_CLK_TCK")
