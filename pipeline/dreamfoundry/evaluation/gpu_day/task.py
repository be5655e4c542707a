"""Device, sizes and time of a block, and the cases that it measures while there is time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.distill.device_memory import is_out_of_memory

Figures = dict[str, Any]

Emit = Callable[[str, Figures], None]
"""Takes a case's name and its figures, at once and for good. A later case of that name replaces them."""


@dataclass(frozen=True)
class Task:
    """One block, as `infra/gpu/day.py` asks for it."""

    block: str
    device: str
    is_tiny: bool
    """Tiny priors and sizes: a rehearsal."""
    out: str
    """Folder of the files that come back."""
    views: str
    """File of traced views; "" traces them."""
    engine: PriorEngine
    until: float
    """Seconds since 1970 at which to have ended."""
    skip: Sequence[str]
    """Cases with figures of an earlier run."""
    parent: int
    """Process that started this one, which dies with it."""

    @property
    def is_cuda(self) -> bool:
        return self.device == "cuda"

    @property
    def folder(self) -> Path:
        return Path(self.out)

    def left_s(self) -> float:
        """Seconds that are left."""
        return self.until - time.time()


def measure_cases(task: Task, cases: Iterable[tuple[str, Callable[[], Figures]]], emit: Emit) -> None:
    """Measure case after case as long as the time left is that of the longest so far.

    What a case needs, a prior say, is made when it is asked for or measured: both count as its time. A case that
    doesn't fit into the memory of the GPU says so, and the next one has its turn.
    """
    longest_s = 0.0
    asked_at = time.monotonic()
    for name, measure in cases:
        if name in task.skip:
            continue
        left_s = max(0.0, task.left_s())
        if left_s <= longest_s:
            emit(name, {"left_out": f"{left_s:.0f} s were left"})
            continue

        try:
            figures = measure()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            figures = {"error": str(error)}
        seconds = time.monotonic() - asked_at
        longest_s = max(longest_s, seconds)
        emit(name, {**figures, "seconds": round(seconds, 2)})
        del measure  # and the prior that only it holds, before the next one is made
        asked_at = time.monotonic()
