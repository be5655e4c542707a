"""The gradient of pictures through a VAE encoder, as steps send it, in each precision and by other encoders.

A step gives every element of a slot's latents a gradient divided by their number, since the loss is a mean; the encoder
turns it into a gradient of the pictures. The reference is the same encoder in float32, without any scale.

Dimension key:  V views · H, W pixels · h, w of the latents
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.diffusion.loading import load_encoders
from dreamfoundry.diffusion.networks.vae_encoder import VaeEncoder
from dreamfoundry.diffusion.random_weights import random_sd_encoder
from dreamfoundry.diffusion.weights_cache import fetch_weights, weights_cache
from dreamfoundry.settings.loading import resolve_recipe

SIZES = (1.0, 0.1)
"""Of an element of the gradient, before it is divided: what score distillation gives at most timesteps."""

LATENTS_PER_VIEW = 16_384
"""4 x 64 x 64 at 512 px; the divisor of a step, whatever size the pictures here have."""


@dataclass(frozen=True)
class GradientError:
    """Difference of a gradient to the exact one: its norm as a share of that one's, and the cosine of their angle."""

    encoder: str
    num_views: int
    size: float
    relative: float
    cosine: float
    zeros_share: float


def encoders_of(recipe: str, device: str) -> tuple[Any, Any | None]:
    """(the VAE of the prior of a recipe, its prior.vae if it has one); random weights for an empty name."""
    if not recipe:
        return random_sd_encoder(device), None
    return load_encoders(fetch_weights(resolve_recipe(recipe).prior, weights_cache()), device)


def gradient_errors(
    model: Any, other: Any | None, picture_px: int, views: tuple[int, ...] = (1, 4), seed: int = 0
) -> Iterator[GradientError]:
    """Errors of `model` in half precisions, scaled by row and not, and of an `other` encoder in float32.

    Models are in float32. Pictures are noise that is smoothed over a few pixels, in [-1, 1].
    """
    exact = VaeEncoder(model)
    encoders: dict[str, VaeEncoder | _Unscaled] = {
        "float16": VaeEncoder(copy.deepcopy(model).half()),
        "float16, not scaled": _Unscaled(copy.deepcopy(model).half()),
        "bfloat16": VaeEncoder(copy.deepcopy(model).bfloat16()),
        **({"prior.vae, float32": VaeEncoder(other)} if other is not None else {}),
    }
    device = next(model.parameters()).device
    for num_views in views:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(num_views, 3, picture_px // 4, picture_px // 4, generator=generator) * 2 - 1
        pictures = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear").to(device)
        side = picture_px // exact.downsampling
        probe = torch.randn(num_views, 4, side, side, generator=generator).to(device)

        # linear in the probe, so one exact gradient does for all sizes
        right = _gradient(exact, pictures, probe)
        for size in SIZES:
            scale = size / (num_views * LATENTS_PER_VIEW)
            for name, encoder in encoders.items():
                found = _gradient(encoder, pictures, probe * scale) / scale
                yield _compared(name, num_views, size, found, right)


class _Unscaled:
    """The encoder as autograd alone would use it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, signed: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V C h w"]:
        mean: Tensor = self._model.encode(signed.to(self._model.dtype)).latent_dist.mean
        return (mean * float(self._model.config.scaling_factor)).float()


def _gradient(encoder: VaeEncoder | _Unscaled, pictures: Tensor, probe: Tensor) -> Tensor:
    leaf = pictures.detach().requires_grad_()
    (gradient,) = torch.autograd.grad((encoder(leaf) * probe).sum(), leaf)
    return gradient


def _compared(name: str, num_views: int, size: float, found: Tensor, right: Tensor) -> GradientError:
    return GradientError(
        name,
        num_views,
        size,
        relative=float((found - right).norm() / right.norm()),
        cosine=float(torch.nn.functional.cosine_similarity(found.flatten(), right.flatten(), dim=0)),
        zeros_share=float((found == 0).float().mean()),
    )
