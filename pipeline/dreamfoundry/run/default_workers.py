"""Default numbers of distill workers and export workers of a run.

On a CPU, processes of one thread each make more of the cores than one process with all of them, and do
not wait for each other when other work takes a core: a step's threads meet in hundreds of small loops,
and each time all wait for the one that was interrupted (docs/LOG.md, 2026-11-28, has the figures).
"""

from __future__ import annotations

import os

from dreamfoundry.diffusion.weights import bundled_prior


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def default_num_distill_workers(
    device: str, prior_path: str, *, has_own_ray: bool, num_cores: int | None = None, memory_bytes: int | None = None
) -> int:
    """One per core in half of the memory, but only for a bundled prior on a CPU in a Ray of its own; else one.

    Another prior may be many times larger, and GPUs and clusters are shared: there the request must name a number.
    """
    prior = bundled_prior(prior_path)
    if device != "cpu" or prior is None or not has_own_ray:
        return 1
    cores = num_cores or cores_here()
    memory = memory_bytes or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(cores, memory // 2 // prior.peak_bytes))


def default_num_export_workers(num_distill_workers: int, *, has_own_ray: bool) -> int:
    """One for every two distillers, but one in a Ray that others use too.

    An export of a toy as `preview` takes a quarter of the seconds of its optimisation, with the game profiles
    far more (docs/benchmarks, docs/assets).
    """
    return max(1, num_distill_workers // 2) if has_own_ray else 1
