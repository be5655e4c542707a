"""Costliest operators of a step."""

from __future__ import annotations

from typing import Any

from torch.profiler import ProfilerActivity, profile, schedule

from dreamfoundry.evaluation.benchmark.measure import Loop

WARM_UP_STEPS = 4
"""Under the profiler: it has buffers of its own to fill."""


def costliest_operators(loop: Loop, num_steps: int = 4, most: int = 15) -> list[dict[str, Any]]:
    """The operators that take most of a step, dearest first: "name", "share" of all, "calls" in a step.

    Shares are of the time within operators, without what they call, on a GPU of the time of its
    kernels. A step takes longer under the profiler: use `measure` for seconds.
    """
    watched = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if loop.is_cuda else [])]
    phases = schedule(wait=0, warmup=WARM_UP_STEPS, active=num_steps, repeat=1)
    with profile(activities=watched, schedule=phases) as profiler:
        for _ in range(WARM_UP_STEPS + num_steps):
            loop.step()
            profiler.step()
    time_of = "self_device_time_total" if loop.is_cuda else "self_cpu_time_total"
    operators = [one for one in profiler.key_averages() if not one.key.startswith("ProfilerStep")]
    whole = sum(getattr(one, time_of) for one in operators)
    dearest = sorted(operators, key=lambda one: -getattr(one, time_of))[:most]
    return [
        {
            "name": one.key.removeprefix("aten::"),
            "share": getattr(one, time_of) / whole,
            "calls": round(one.count / num_steps, 1),
        }
        for one in dearest
    ]
