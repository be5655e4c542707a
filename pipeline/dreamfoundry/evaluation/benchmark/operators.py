"""Costliest operators of a step, and the share of it in which a GPU does nothing."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from dreamfoundry.evaluation.benchmark.measure import Loop

WARM_UP_STEPS = 4
"""Under the profiler: it has buffers of its own to fill."""


@dataclass(frozen=True)
class StepProfile:
    """The operators that take most of a step, dearest first: "name", "share" of all, "calls" in a step.

    Shares are of the time within operators, without what they call, on a GPU of the time of its
    kernels. `idle_share` is the share of the time in which the GPU ran none; None on a CPU.
    """

    operators: list[dict[str, Any]]
    idle_share: float | None


def profile_steps(loop: Loop, num_steps: int = 4, most: int = 15) -> StepProfile:
    """Profile `num_steps` steps. They take longer under the profiler: use `measure` for seconds."""
    watched = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if loop.is_cuda else [])]
    phases = schedule(wait=0, warmup=WARM_UP_STEPS, active=num_steps, repeat=1)
    with profile(activities=watched, schedule=phases) as profiler:
        for _ in range(WARM_UP_STEPS + num_steps):
            loop.submit()
            profiler.step()

    kind, time_of = ("CUDA", "self_device_time_total") if loop.is_cuda else ("CPU", "self_cpu_time_total")
    operators = [one for one in profiler.key_averages() if one.device_type.name == kind and not _is_label(one)]
    whole = sum(getattr(one, time_of) for one in operators)
    dearest = sorted(operators, key=lambda one: -getattr(one, time_of))[:most]
    rows = [
        {
            "name": one.key.removeprefix("aten::"),
            "share": getattr(one, time_of) / whole,
            "calls": round(one.count / num_steps, 1),
        }
        for one in dearest
    ]
    if not loop.is_cuda:
        return StepProfile(rows, None)
    kernels = [one for one in profiler.events() or () if one.device_type.name == kind and not _is_label(one)]
    return StepProfile(rows, idle_share((one.time_range.start, one.time_range.end) for one in kernels))


def _is_label(event: Any) -> bool:
    """True for a span of time with a name, such as a whole step, which does no work itself."""
    return bool(event.is_user_annotation) or event.key.startswith("ProfilerStep")


def idle_share(spans: Iterable[tuple[float, float]]) -> float:
    """Share of the time from the first start to the last end that no span covers; spans may overlap."""
    ordered = sorted(spans)
    covered = 0.0
    reached = first = ordered[0][0]
    for start, end in ordered:
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return 1.0 - covered / (reached - first)


def waits_of_a_step(loop: Loop) -> dict[str, int]:
    """The lines of Python at which one step waits for the GPU, and how often; empty on a CPU."""
    if not loop.is_cuda:
        return {}
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loop.submit()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return Counter(f"{one.filename}:{one.lineno}" for one in caught if "synchronizing" in str(one.message))
