"""Allocator settings for processes that optimise or train on a CPU.

A step allocates and frees the same large buffers again and again. Kept mapped, they cost no page
faults. glibc reads these variables when a process starts, so they belong into the environment of a
process that is about to be started (docs/LOG.md has the figures).
"""

import os
import sys
from collections.abc import Mapping

LARGE_ALLOCATIONS = {
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
}


def restart_with(environment: Mapping[str, str]) -> None:
    """Start this program again in `environment`, unless it has these variables already."""
    if not os.environ.items() >= environment.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **environment})
