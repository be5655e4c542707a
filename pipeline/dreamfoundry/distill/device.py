"""A device, tried before anything is loaded onto it."""

from __future__ import annotations

import platform

import torch

from dreamfoundry.errors import DeviceUnavailable
from dreamfoundry.host.nvidia import driver_fault, driver_version
from dreamfoundry.nerf.kernels.availability import kernels_in_words


def try_device(device: str) -> str:
    """Compute one tensor on `device` and build the smallest kernel there; returns a word on kernels for reports.

    It takes seconds, where fetching and loading a prior takes minutes. DeviceUnavailable, with what would help, if
    the device is not there, is held by another process, or does not compute.
    """
    try:
        if torch.ones(1, device=device).add(1.0).item() != 2.0:
            raise RuntimeError("1 + 1 is not 2 there")
        return kernels_in_words(torch.device(device))
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for CUDA
        cause = " ".join(str(error).split())
    remedy = driver_fault(driver_version(), torch.version.cuda) or (
        "in a container NVIDIA_VISIBLE_DEVICES must be set; nvidia-smi says whether the card answers and who holds it"
    )
    raise DeviceUnavailable(f"device {device!r} of {platform.node()} cannot be used: {cause} ({remedy})")


def require_kernels(device: str) -> None:
    """DeviceUnavailable where Triton's kernels should serve and cannot be built: figures without them mislead."""
    kernels = try_device(device)
    if torch.device(device).type == "cuda" and kernels.startswith("none"):
        raise DeviceUnavailable(f"kernels on {device!r}: {kernels}")
