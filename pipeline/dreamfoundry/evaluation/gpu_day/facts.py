"""The machine as it is: card, driver, versions, clocks, ceilings, and kernels or the reason why there are none."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

from dreamfoundry.evaluation.benchmark import ceilings
from dreamfoundry.evaluation.gpu_day.task import Emit, Figures, Task, measure_cases
from dreamfoundry.nerf.kernels.availability import kernels_in_words

PACKAGES = ("torch", "triton", "diffusers", "transformers", "numpy", "jaxtyping", "pytest")

QUERY = "name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,power.limit,temperature.gpu"


def facts(task: Task, emit: Emit) -> None:
    """One case for each kind of fact, the quickest first."""
    measure_cases(
        task,
        [
            ("machine", lambda: _machine(task)),
            ("card", _card),
            ("kernels", lambda: {"kernels": kernels_in_words(torch.device(task.device))}),
            ("ceilings", lambda: _ceilings(task)),
            ("card afterwards", _card),
        ],
        emit,
    )


def _machine(task: Task) -> Figures:
    return {
        "device": torch.cuda.get_device_name() if task.is_cuda else platform.processor() or platform.machine(),
        "capability": torch.cuda.get_device_capability() if task.is_cuda else None,
        "cuda": torch.version.cuda,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: _version_of(name) for name in PACKAGES},
        "tf32": {"matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32},
    }


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _card() -> Figures:
    """Driver, clocks and temperature, as `nvidia-smi` says them."""
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return {"nvidia-smi": f"none: {error}"}
    return dict(zip(QUERY.split(","), done.stdout.splitlines()[0].split(", "), strict=True))


def _ceilings(task: Task) -> Figures:
    """Products of matrices by number format, in FLOP/s, and bytes per second of a copy."""
    side, num_bytes = (512, 2**24) if task.is_tiny else (8192, 2**32)
    formats = (torch.float16, torch.bfloat16, torch.float32) if task.is_cuda else (torch.float32,)
    return {
        "matmul_flop_per_s": {str(dtype): ceilings.matmul_flop_per_s(task.device, dtype, side) for dtype in formats},
        "copy_bytes_per_s": ceilings.copy_bytes_per_s(task.device, num_bytes),
    }
