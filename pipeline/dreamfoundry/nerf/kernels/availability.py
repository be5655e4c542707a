"""Choice between kernels and torch code: kernels serve on CUDA, where Triton can build one."""

from __future__ import annotations

import subprocess
import warnings
from functools import cache

import torch


def has_kernels(device: torch.device) -> bool:
    """True if kernels serve tensors of `device`; never on the CPU.

    Asks by building the smallest one. Where that fails, the torch code serves, and one warning
    says why.
    """
    return device.type == "cuda" and _can_build()


@cache
def _can_build() -> bool:
    try:
        from dreamfoundry.nerf.kernels.probe import probe

        probe()
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        warnings.warn(
            f"Triton cannot build kernels here ({type(error).__name__}: {error}); plain torch code computes the same, "
            "slower. Kernels need triton (pip install 'dreamfoundry[gpu]') and a C compiler on the path",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
    return True
