"""Penalties on the volume: each function gives one value per slot, a mean over its rays.

Dimension key:  K slots · R rays per slot (view, row, column)
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

OPACITY_MARGIN = 1e-5
"""Opacities this near to 0 or 1 are certain: the entropy is flat there."""


def orientation(
    normals: Float[Tensor, "K R 3"], directions: Float[Tensor, "K R 3"], opacity: Float[Tensor, "K R"]
) -> Float[Tensor, " K"]:
    """Visible surfaces must not face away (Ref-NeRF; DreamFusion A.2):

    mean over rays of  stopgrad(opacity) max(0, n . d)^2,  d the direction of the ray. It acts on
    the normals only: the opacity is a constant, or hiding the surface would lower the loss.
    """
    facing_away = (normals * directions).sum(dim=-1).clamp(min=0.0)
    return (opacity.detach() * facing_away.square()).mean(dim=-1)


def opacity_penalty(opacity: Float[Tensor, "K R"]) -> Float[Tensor, " K"]:
    """Empty space stays empty (DreamFusion A.2): mean of sqrt(opacity^2 + 0.01)."""
    return (opacity.square() + 0.01).sqrt().mean(dim=-1)


def sparsity(opacity: Float[Tensor, "K R"]) -> Float[Tensor, " K"]:
    """Mean opacity, in [0, 1]."""
    return opacity.mean(dim=-1)


def binary_entropy(opacity: Float[Tensor, "K R"]) -> Float[Tensor, " K"]:
    """Rays should hit or miss: mean of -p log2 p - (1 - p) log2 (1 - p), in bits, in [0, 1]."""
    hit = opacity.clamp(OPACITY_MARGIN, 1.0 - OPACITY_MARGIN)
    return -(hit * hit.log2() + (1.0 - hit) * (1.0 - hit).log2()).mean(dim=-1)


def normal_smoothness(
    normals: Float[Tensor, "K R 3"], opacity: Float[Tensor, "K R"], image_px: int
) -> Float[Tensor, " K"]:
    """Neighbouring pixels should face alike:

    mean over pairs of neighbours a, b in a row or a column of
    stopgrad(opacity_a opacity_b) |n_a - n_b|^2,  where rays form square pictures of `image_px`.
    """
    slots = normals.shape[0]
    picture = normals.view(slots, -1, image_px, image_px, 3)
    visible = opacity.detach().view(slots, -1, image_px, image_px)
    across = (picture[..., :, 1:, :] - picture[..., :, :-1, :]).square().sum(dim=-1)
    down = (picture[..., 1:, :, :] - picture[..., :-1, :, :]).square().sum(dim=-1)
    pairs = torch.cat(
        [
            (visible[..., :, 1:] * visible[..., :, :-1] * across).flatten(1),
            (visible[..., 1:, :] * visible[..., :-1, :] * down).flatten(1),
        ],
        dim=1,
    )
    return pairs.mean(dim=-1)
