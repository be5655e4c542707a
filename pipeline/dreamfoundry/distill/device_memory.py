"""The memory of a device: what a run may take of it, what was taken at most, and what to do when there is no more.

On CUDA the peak is that of what torch's allocator has reserved. What it has handed out is less: the memory that CUDA
graphs keep between two replays counts as free there, and nobody else can have it. On a CPU no allocator
counts, so the peak is that of the tensors alive (`LiveBytes`).
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from dreamfoundry.diffusion.prior import ScorePrior

MEMORY_SHARE = 0.9
"""Of the memory that is there. The rest is for what no allocator of torch counts: the context, graphs, libraries."""

_NO_MEMORY = re.compile(r"\bCU\w+_STATUS_\w*ALLOC\w*|CUDA error: out of memory")
"""The words of cuBLAS, cuDNN and the like, and of CUDA itself, which allocate beside torch."""


def usable_memory_bytes(device: str) -> int:
    """MEMORY_SHARE of what this process may still take of a device, what it holds already included."""
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(MEMORY_SHARE * (free + torch.cuda.memory_reserved(device)))
    meminfo = Path("/proc/meminfo")
    match = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text()) if meminfo.is_file() else None
    available = int(match[1]) * 1024 if match else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(MEMORY_SHARE * available)


def is_out_of_memory(error: Exception) -> bool:
    """True if the memory of a GPU did not suffice, for torch or for a library that allocates on its own."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def release_memory(prior: ScorePrior) -> None:
    """Give back what nothing holds any more: recordings of the prior, and the blocks that torch keeps for later.

    Only outside of the `except` that caught a shortage: until its end the traceback holds the tensors of the step.
    """
    prior.forget_shapes()
    torch.cuda.empty_cache()  # does nothing where CUDA is not in use


@dataclass
class Peak:
    """The most bytes at once, known when its `with` has ended."""

    num_bytes: int = 0


@contextmanager
def peak_memory(device: str, resident_bytes: int) -> Iterator[Peak]:
    """Measure the most bytes that are taken at once; on a CPU `resident_bytes` stand for what was there before."""
    peak = Peak()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.num_bytes = torch.cuda.max_memory_reserved(device)
        return
    with LiveBytes() as live:
        yield peak
    peak.num_bytes = resident_bytes + live.peak


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is on, for as long as each lives.

    A view costs nothing, and what autograd keeps for the way back lives until then.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._count, result)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        self._alive.add(key)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, num_bytes: int) -> None:
        self._alive.discard(key)
        self.now -= num_bytes
