"""The launch of a kernel; on torch's meta device, an operation that stands for it.

Tensors of the meta device have shapes and no values: there is nothing to compute, but a launch still counts.
That is how the cost of a step on a GPU is known without one (`evaluation.benchmark.step_cost`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("dreamfoundry", "DEF")
_LIBRARY.define("launch(Tensor[] tensors) -> ()")
_LIBRARY.impl("launch", lambda tensors: None, "Meta")


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **sizes: Any) -> None:
    """Run `kernel` over `grid` on the device of its tensors."""
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    if tensors[0].is_meta:
        torch.ops.dreamfoundry.launch(tensors)
        return
    with torch.cuda.device_of(tensors[0]):
        kernel[grid](*arguments, **sizes)
