"""Child processes of this package: how they find it, and that they do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1

_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None  # loaded here: not after a fork


def package_environment() -> dict[str, str]:
    """The environment of this process, in which a Python child can import this package."""
    root = str(Path(__file__).resolve().parents[1])
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
