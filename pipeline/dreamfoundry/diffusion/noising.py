"""The forward process of diffusion: a noisy picture is so much picture and so much noise.

    noisy = sqrt(abar) picture + sqrt(1 - abar) noise

and, since it is linear, either part follows from the noisy picture and the other part.

Dimension key:  B rows · C channels · h, w of the latents
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def add_noise(
    latents: Float[Tensor, "B C h w"], noise: Float[Tensor, "B C h w"], alphas_cumprod: Float[Tensor, " B"]
) -> Float[Tensor, "B C h w"]:
    """The forward process: sqrt(abar) picture + sqrt(1 - abar) noise, abar per row."""
    signal = alphas_cumprod.view(-1, 1, 1, 1)
    return signal.sqrt() * latents + (1.0 - signal).sqrt() * noise


def clean_part(
    noisy: Float[Tensor, "B C h w"], noise: Float[Tensor, "B C h w"], alphas_cumprod: Float[Tensor, " B"]
) -> Float[Tensor, "B C h w"]:
    """The picture that `add_noise` made `noisy` of, if `noise` is what was added."""
    signal = alphas_cumprod.view(-1, 1, 1, 1)
    return (noisy - (1.0 - signal).sqrt() * noise) / signal.sqrt()


def noise_part(
    noisy: Float[Tensor, "B C h w"], clean: Float[Tensor, "B C h w"], alphas_cumprod: Float[Tensor, " B"]
) -> Float[Tensor, "B C h w"]:
    """The noise that `add_noise` made `noisy` of, if `clean` is the picture it was added to."""
    signal = alphas_cumprod.view(-1, 1, 1, 1)
    return (noisy - signal.sqrt() * clean) / (1.0 - signal).sqrt()
