"""Adam for K slots on CUDA, in one pass over parameter, moments and gradient: twin of `adam.SlotAdam`.

Dimension key:  K slots
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Float
from torch import Tensor

VALUES_PER_PROGRAM = 1024


def slot_adam(
    tensor: Float[Tensor, "K ..."],
    mean: Float[Tensor, "K ..."],
    square: Float[Tensor, "K ..."],
    gradient: Float[Tensor, "K ..."],
    shares: Float[Tensor, " K"],
    rates: Float[Tensor, " K"],
    root_corrections: Float[Tensor, " K"],
    live: Bool[Tensor, " K"],
    betas: tuple[float, float],
    eps: float,
) -> None:
    """Move the `live` slots of `tensor`, and their moments, in place; nothing else is read or written.

    `rates` are divided by the correction of the mean, `root_corrections` are the roots of those of
    the squares; both and `shares` have the type of `tensor`.
    """
    size = tensor[0].numel()
    with torch.cuda.device_of(tensor):
        _step[(triton.cdiv(size, VALUES_PER_PROGRAM), len(tensor))](
            tensor,
            mean,
            square,
            gradient.contiguous(),
            shares,
            rates,
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
    shares,
    rates,
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
    moves = value < tl.where(tl.load(live + slot) != 0, size, 0)
    at = slot.to(tl.int64) * size + value
    own = tl.load(gradient + at, mask=moves, other=0.0) * tl.load(shares + slot)
    old_mean = tl.load(mean + at, mask=moves, other=0.0)
    new_mean = old_mean + (1.0 - BETA_MEAN) * (own - old_mean)
    new_square = tl.load(square + at, mask=moves, other=0.0) * BETA_SQUARE + (1.0 - BETA_SQUARE) * own * own
    stride = new_mean / (tl.sqrt(new_square) / tl.load(root_corrections + slot) + EPS) * tl.load(rates + slot)
    tl.store(mean + at, new_mean, mask=moves)
    tl.store(square + at, new_square, mask=moves)
    tl.store(tensor + at, tl.load(tensor + at, mask=moves, other=0.0) - stride, mask=moves)
