"""Score distillation: from pictures in the noise space to the gradient that improves them.

DreamFusion (arXiv 2209.14988, equation 3): draw a timestep and noise, ask the prior which noise
it sees, and move the picture against the difference, without differentiating the prior:

    gradient = weight(timestep) * (predicted noise - drawn noise)

Rows are the views of all slots, slot after slot (slot-major). Draws come from one generator per
slot, so a slot's draws do not depend on its neighbours; CPU generators make them independent of
the device too.

Dimension key:  B rows · C channels · h, w samples of the noise space · L tokens · D width
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.config import GuidanceConfig, Weighting
from dreamfoundry.diffusion.prior import ScorePrior


def draw_timesteps(
    generators: Sequence[torch.Generator],
    progress: Sequence[float],
    views: int,
    config: GuidanceConfig,
    num_timesteps: int,
) -> Int[Tensor, " B"]:
    """Timesteps of `views` rows per slot, uniform in the configured range at each slot's progress.

    `progress` in [0, 1] is the share of the slot's own steps that is done; both ends of the range
    are included. The result lies on the generators' device.
    """
    drawn = []
    for generator, done in zip(generators, progress, strict=True):
        low, high = (
            min(round(ramp.at(done) * num_timesteps), num_timesteps - 1)
            for ramp in (config.timestep_low, config.timestep_high)
        )
        drawn.append(torch.randint(low, high + 1, (views,), generator=generator, device=generator.device))
    return torch.cat(drawn)


def draw_noise(
    generators: Sequence[torch.Generator], views: int, shape: tuple[int, int, int]
) -> Float[Tensor, "B C h w"]:
    """Unit Gaussian noise of `views` rows per slot; `shape` is (C, h, w). On the generators' device."""
    return torch.cat(
        [torch.randn((views, *shape), generator=generator, device=generator.device) for generator in generators]
    )


def add_noise(
    noise_space: Float[Tensor, "B C h w"], noise: Float[Tensor, "B C h w"], alphas_cumprod: Float[Tensor, " B"]
) -> Float[Tensor, "B C h w"]:
    """The forward process: sqrt(abar) picture + sqrt(1 - abar) noise, abar per row."""
    signal = alphas_cumprod.view(-1, 1, 1, 1)
    return signal.sqrt() * noise_space + (1.0 - signal).sqrt() * noise


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


def sds_weight(alphas_cumprod: Float[Tensor, " B"], weighting: Weighting) -> Float[Tensor, " B"]:
    """Weight of a timestep: its noise variance 1 - abar (DreamFusion), 1, or sqrt((1 - abar) / abar).

    The last makes the gradient picture - clean, clean being what the prior takes the picture to be:
    the x0 reconstruction loss of MVDream (arXiv 2308.16512, equation 4).
    """
    if weighting == "sigma_squared":
        return 1.0 - alphas_cumprod
    if weighting == "reconstruction":
        return ((1.0 - alphas_cumprod) / alphas_cumprod).sqrt()
    return torch.ones_like(alphas_cumprod)


def classifier_free(
    noise_uncond: Float[Tensor, "B C h w"], noise_text: Float[Tensor, "B C h w"], guidance_scale: float
) -> Float[Tensor, "B C h w"]:
    """uncond + s (text - uncond): 1 is the text alone, DreamFusion's omega = 100 is s = 101."""
    return noise_uncond + guidance_scale * (noise_text - noise_uncond)


def rescaled(
    noise_guided: Float[Tensor, "B C h w"],
    noise_text: Float[Tensor, "B C h w"],
    noisy: Float[Tensor, "B C h w"],
    alphas_cumprod: Float[Tensor, " B"],
    share: float,
) -> Float[Tensor, "B C h w"]:
    """Guided noise whose clean picture has `share` of the way to the contrast of the unguided one.

    Guidance stretches the clean picture, which over-saturates; scaling it back by the ratio of the
    two standard deviations undoes that (Lin et al., arXiv 2305.08891, equations 15 and 16).
    """
    guided, text = (clean_part(noisy, noise, alphas_cumprod) for noise in (noise_guided, noise_text))
    ratio = text.std(dim=(1, 2, 3), keepdim=True) / guided.std(dim=(1, 2, 3), keepdim=True)
    return noise_part(noisy, guided * (share * ratio + 1.0 - share), alphas_cumprod)


@torch.no_grad()
def sds_gradient(
    prior: ScorePrior,
    noise_space: Float[Tensor, "B C h w"],
    text_embeds: Float[Tensor, "B L D"],
    uncond_embeds: Float[Tensor, "B L D"],
    timesteps: Int[Tensor, " B"],
    noise: Float[Tensor, "B C h w"],
    config: GuidanceConfig,
) -> Float[Tensor, "B C h w"]:
    """Gradient with respect to `noise_space`: weight * (guided prediction - `noise`).

    One call of the prior with 2 B rows, unconditional first. Not finite where a row of
    `noise_space` is not; rows do not touch one another.
    """
    signal = prior.alphas_cumprod[timesteps]
    noisy = add_noise(noise_space, noise, signal)
    predicted = prior.predict_noise(
        torch.cat([noisy, noisy]), torch.cat([timesteps, timesteps]), torch.cat([uncond_embeds, text_embeds])
    )
    noise_uncond, noise_text = predicted.chunk(2)
    guided = classifier_free(noise_uncond, noise_text, config.guidance_scale)
    if config.rescale:
        guided = rescaled(guided, noise_text, noisy, signal, config.rescale)
    return sds_weight(signal, config.weighting).view(-1, 1, 1, 1) * (guided - noise)


def distill(noise_space: Float[Tensor, "B C h w"], gradient: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
    """A loss whose derivative with respect to `noise_space` is `gradient`, bit for bit.

    It is their inner product with `gradient` held constant, summed over pixels, channels and
    rows: neither its value nor its sign says how well a slot does. Nothing is normalised here; a
    caller that wants the mean over its V views divides by V.
    """
    return (noise_space * gradient.detach()).sum()
