"""Choice between kernels and torch code: kernels serve on CUDA, where Triton can build one."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec

import torch


def has_kernels(device: torch.device) -> bool:
    """True if kernels serve tensors of `device`; never on the CPU.

    Asks by building the smallest one. Where that fails, the torch code serves, and one warning says why; but a
    GPU without memory says nothing about kernels: torch.OutOfMemoryError is raised, and the next call asks again.
    The meta device, where steps are counted, stands for a GPU that builds them.
    """
    if device.type == "meta":
        return find_spec("triton") is not None
    return device.type == "cuda" and not _obstacle()


def kernels_in_words(device: torch.device) -> str:
    """The words of reports on what serves tensors of `device`: "triton 3.7.1", or "none: " with the reason."""
    if device.type != "cuda":
        return "none: plain torch code serves on a CPU"
    return f"none: {_obstacle()}" if _obstacle() else f"triton {version('triton')}"


@cache
def _obstacle() -> str:
    """The reason why Triton cannot build kernels here; "" if it can."""
    try:
        from dreamfoundry.nerf.kernels.probe import probe

        probe()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 the errors of Triton's compiler have no class in common
        obstacle = f"Triton cannot build kernels here ({type(error).__name__}: {error})"
        warnings.warn(
            f"{obstacle}; plain torch code computes the same, slower and with more memory. Kernels need triton "
            "(pip install 'dreamfoundry[gpu]') and a C compiler on the path",
            RuntimeWarning,
            stacklevel=3,
        )
        return obstacle
    return ""
