"""Noise that belongs to a picture: DDIM run backwards, instead of a fresh draw at every step.

Score distillation via reparametrized DDIM (SDI; Lukoianov et al., arXiv 2405.15891) finds that
fresh noise is what makes SDS blurry: each step denoises another noisy picture. Inverting the
picture gives the noise that the prior's own sampling would have started it from.

What is ours: the paper stirs noise into every step of the inversion; here a share of fresh noise
is mixed in once, at the end, which keeps the variance and the same draws however many steps.
Every row walks to its own timestep in the same number of steps, so that all rows share each call.

Dimension key:  B rows · C channels · h, w of the latents
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.diffusion.noising import add_noise, clean_part, noise_part


def invert(
    predict: Callable[[Float[Tensor, "B C h w"], Int[Tensor, " B"]], Float[Tensor, "B C h w"]],
    latents: Float[Tensor, "B C h w"],
    timesteps: Int[Tensor, " B"],
    alphas_cumprod: Float[Tensor, " timesteps"],
    num_steps: int,
) -> Float[Tensor, "B C h w"]:
    """The noisy pictures at `timesteps` that deterministic DDIM would have turned into `latents`.

    Each of `num_steps` steps goes the same number of timesteps up (Song et al., arXiv 2010.02502,
    equation 13, with the noise predicted where the step begins) and calls `predict(noisy, timesteps)`
    once. The pictures themselves have no noise; the first call has timestep 0.
    """
    noisy, signal = latents, torch.ones_like(alphas_cumprod[timesteps])
    for step in range(num_steps):
        noise = predict(noisy, timesteps * step // num_steps)
        clean = clean_part(noisy, noise, signal)
        signal = alphas_cumprod[timesteps * (step + 1) // num_steps]
        noisy = add_noise(clean, noise, signal)
    return noisy


def inverted_noise(
    noisy: Float[Tensor, "B C h w"],
    latents: Float[Tensor, "B C h w"],
    signal: Float[Tensor, " B"],
    fresh: Float[Tensor, "B C h w"],
    eta: float,
) -> Float[Tensor, "B C h w"]:
    """The noise in the inverted picture, with `fresh` noise as `eta` of it (0 none, 1 all).

    sqrt(1 - eta^2) inverted + eta fresh has variance 1 where the inverted noise has. `signal` is abar
    where the inversion ended.
    """
    inverted = noise_part(noisy, latents, signal)
    return math.sqrt(1.0 - eta**2) * inverted + eta * fresh
