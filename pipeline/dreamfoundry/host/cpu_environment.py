"""The environment of processes that optimise or train on a CPU.

glibc and OpenMP read it when a process starts, so it belongs to a process that is about to be started
(docs/LOG.md has the figures of both).
"""

import os
import sys
from collections.abc import Mapping

CPU_ENVIRONMENT = {
    # A step allocates and frees the same large buffers again and again. Kept mapped, they cost no page faults.
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    # Threads meet in hundreds of small loops a step. Waiting there for milliseconds, as GNU OpenMP does by
    # itself, keeps a thread that other work has interrupted off its core, and so waits all the longer.
    "GOMP_SPINCOUNT": "1000",
}


def restart_with(environment: Mapping[str, str]) -> None:
    """Start this program again in `environment`, unless it has these variables already."""
    if not os.environ.items() >= environment.items():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **environment})
