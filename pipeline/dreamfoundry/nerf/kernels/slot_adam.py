"""Adam for K slots on CUDA, in one pass over all that it touches: twin of `distill.step.slot_adam.SlotAdam`.

Dimension key:  K slots
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Float
from torch import Tensor

from dreamfoundry.nerf.kernels.launch import launch

VALUES_PER_PROGRAM = 1024


def slot_adam(
    tensor: Float[Tensor, "K ..."],
    mean: Float[Tensor, "K ..."],
    square: Float[Tensor, "K ..."],
    gradient: Float[Tensor, "K ..."],
    scales: Float[Tensor, " K"],
    lrs: Float[Tensor, " K"],
    root_corrections: Float[Tensor, " K"],
    live: Bool[Tensor, " K"],
    betas: tuple[float, float],
    eps: float,
) -> None:
    """Update the `live` slots of `tensor`, and their moments, in place; nothing else is read or written.

    `scales` are those of `clip_scales`. `lrs` are learning rates divided by the bias correction of
    the mean, `root_corrections` the square roots of the bias corrections of the squares. All three
    have the dtype of `tensor`.
    """
    size = tensor[0].numel()
    launch(
        _step,
        (triton.cdiv(size, VALUES_PER_PROGRAM), len(tensor)),
        tensor,
        mean,
        square,
        gradient.contiguous(),
        scales,
        lrs,
        root_corrections,
        live.to(torch.int8),
        size,
        BETA_MEAN=betas[0],
        BETA_SQUARE=betas[1],
        EPS=eps,
        VALUES=VALUES_PER_PROGRAM,
    )


@triton.jit
@no_type_check
def _step(
    tensor,
    mean,
    square,
    gradient,
    scales,
    lrs,
    root_corrections,
    live,
    size,
    BETA_MEAN: tl.constexpr,
    BETA_SQUARE: tl.constexpr,
    EPS: tl.constexpr,
    VALUES: tl.constexpr,
):
    slot = tl.program_id(1)
    value = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    is_live = value < tl.where(tl.load(live + slot) != 0, size, 0)
    at = slot.to(tl.int64) * size + value

    scaled = tl.load(gradient + at, mask=is_live, other=0.0) * tl.load(scales + slot)
    old_mean = tl.load(mean + at, mask=is_live, other=0.0)
    new_mean = old_mean + (1.0 - BETA_MEAN) * (scaled - old_mean)
    new_square = tl.load(square + at, mask=is_live, other=0.0) * BETA_SQUARE + (1.0 - BETA_SQUARE) * scaled * scaled

    update = new_mean / (tl.sqrt(new_square) / tl.load(root_corrections + slot) + EPS) * tl.load(lrs + slot)

    tl.store(mean + at, new_mean, mask=is_live)
    tl.store(square + at, new_square, mask=is_live)
    tl.store(tensor + at, tl.load(tensor + at, mask=is_live, other=0.0) - update, mask=is_live)
