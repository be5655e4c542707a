"""The NVIDIA driver of this machine, and the one that a build of CUDA needs."""

from __future__ import annotations

import re
from pathlib import Path

DRIVER_FILE = Path("/proc/driver/nvidia/version")
"""Written by the kernel module, and the same in every container of the machine."""

OLDEST_DRIVERS = {11: 450, 12: 525, 13: 580}
"""Branch of the oldest driver that runs programs built for a major version of CUDA (NVIDIA's minor version
compatibility, table 2 of its deployment guide)."""


def driver_version(file: Path = DRIVER_FILE) -> str:
    """The version of the loaded kernel module, as in "580.65.06"; "" where none is loaded."""
    match = re.search(r"\b\d{3,}\.\d+(\.\d+)*\b", file.read_text(errors="replace")) if file.is_file() else None
    return match[0] if match else ""


def driver_fault(driver: str, cuda: str | None) -> str:
    """The reason why `driver` cannot run what is built for `cuda` (None: for CPUs), with a remedy; "" if it can."""
    if cuda is None:
        return "this torch is built for CPUs only: install its CUDA build"
    if not driver:
        return "no NVIDIA driver is loaded on this machine: it has no GPU, or its driver must be installed"
    oldest = OLDEST_DRIVERS.get(int(cuda.split(".")[0]), 0)
    if int(driver.split(".")[0]) >= oldest:
        return ""
    return (
        f"driver {driver} is too old for a torch that is built for CUDA {cuda}: it must be {oldest} or later; "
        "update the driver of the machine (not of the container), or install a torch for an older CUDA"
    )
