"""Training loss: error of the predicted velocity at timesteps that favour the noisy end.

Most timesteps are drawn from the noisier part of the schedule, because score distillation asks
about those.

Dimension key:  B pictures · H pixels per side · L tokens · D width of the embeddings
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import mse_loss

from dreamfoundry.diffusion.noising import add_noise

NOISY_PART = 0.3
"""Fraction of the schedule below which only NOISY_PART / 3 of the timesteps are drawn."""

NOISIEST_PART = 0.85
"""Fraction of the schedule above which a picture hardly shows which way its toy is turned."""


def diffusion_loss(
    unet: UNet2DConditionModel,
    embeds: Float[Tensor, "B L D"],
    pictures: Float[Tensor, "B 3 H H"],
    alphas_cumprod: Float[Tensor, " timesteps"],
    generator: torch.Generator,
    noisiest_share: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean squared error of v = sqrt(abar) noise - sqrt(1 - abar) x, every timestep alike.

    All are on one device, the generator too.
    In the noisy limit v is -x, so that the error there is the error of the picture itself.
    """
    timesteps = sample_timesteps(len(pictures), len(alphas_cumprod), generator, noisiest_share)
    noise = torch.randn(pictures.shape, generator=generator, device=generator.device)
    signal = alphas_cumprod[timesteps][:, None, None, None]
    noisy = add_noise(pictures, noise, alphas_cumprod[timesteps])

    velocity = signal.sqrt() * noise - (1 - signal).sqrt() * pictures
    predicted = unet(noisy.contiguous(memory_format=torch.channels_last), timesteps, embeds).sample
    return mse_loss(predicted.float(), velocity)


def sample_timesteps(
    num_pictures: int, num_timesteps: int, generator: torch.Generator, noisiest_share: float
) -> Int[Tensor, " B"]:
    """Timesteps of a batch: few below NOISY_PART, a further `noisiest_share` above NOISIEST_PART."""
    draws = [torch.rand(num_pictures, generator=generator, device=generator.device) for _ in range(3)]
    position, is_low, is_noisiest = draws[0], draws[1] < NOISY_PART / 3, draws[2] < noisiest_share
    fraction = torch.where(is_low, position * NOISY_PART, NOISY_PART + position * (1 - NOISY_PART))
    fraction = torch.where(is_noisiest, NOISIEST_PART + position * (1 - NOISIEST_PART), fraction)
    timesteps: Int[Tensor, " B"] = (fraction * num_timesteps).long()
    return timesteps
