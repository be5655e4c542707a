"""Score distillation: from latents (of a pixel prior, pixels) to the gradient that improves them.

DreamFusion (arXiv 2209.14988, equation 3): draw a timestep and noise, let the prior predict the noise
in the noisy picture, and move the picture against the difference, without differentiating the prior:

    gradient = weight(timestep) * (predicted noise - drawn noise)

| method        | noise                  | derivative of the prior | calls of the prior      |
|---------------|------------------------|-------------------------|-------------------------|
| sds           | drawn                  | left out                | 1                       |
| sdi           | from inversion         | left out                | 1 + `inversion_steps`   |
| full_gradient | drawn                  | taken                   | 1 (and one pass back)   |

Rows are the views of all slots, slot after slot. Draws come from one generator per slot, so a
slot's draws do not depend on its neighbours; CPU generators make them independent of the device too.

Dimension key:  B rows · N negatives per row · C channels · h, w of the latents
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.diffusion.inversion import invert, inverted_noise
from dreamfoundry.diffusion.noising import add_noise, clean_part, noise_part
from dreamfoundry.diffusion.perp_neg import apply_perp_neg
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.prompts import ViewEmbeds
from dreamfoundry.settings.distillation import GuidanceConfig, Weighting


@dataclass(frozen=True)
class NoiseSample:
    """Timesteps, noise and embeddings of one SDS evaluation of B rows, sampled before rendering.

    An inversion ends at `inverted_to`, at or above `timesteps`. `max_gradient` bounds each element
    of a row's gradient; infinite means no bound.
    """

    embeds: ViewEmbeds
    timesteps: Int[Tensor, " B"]
    inverted_to: Int[Tensor, " B"]
    noise: Float[Tensor, "B C h w"]
    max_gradient: Float[Tensor, " B"]


@dataclass(frozen=True)
class NoiseDraws:
    """A `NoiseSample` before its embeddings are looked up, still on the host."""

    timesteps: Int[Tensor, " B"]
    inverted_to: Int[Tensor, " B"]
    noise: Float[Tensor, "B C h w"]
    max_gradient: Float[Tensor, " B"]

    @classmethod
    def joined(cls, parts: Sequence[NoiseDraws]) -> NoiseDraws:
        """The rows of all parts, one part after the other."""
        return cls(
            torch.cat([part.timesteps for part in parts]),
            torch.cat([part.inverted_to for part in parts]),
            torch.cat([part.noise for part in parts]),
            torch.cat([part.max_gradient for part in parts]),
        )

    def told(self, embeds: ViewEmbeds) -> NoiseSample:
        """The noise sample of rows with these embeddings."""
        return NoiseSample(embeds, self.timesteps, self.inverted_to, self.noise, self.max_gradient)


def draw_noise_sample(
    generator: torch.Generator,
    progress: float,
    views: int,
    config: GuidanceConfig,
    num_timesteps: int,
    noise_shape: tuple[int, int, int],
) -> NoiseDraws:
    """Timesteps and noise for the `views` rows of one slot, whose `progress` in [0, 1] is the share of its
    steps that is done.
    """
    timesteps = draw_timesteps(generator, progress, views, config, num_timesteps)

    # drawn for sdi only: another draw would change the noise of the other methods
    inverted_to = timesteps
    if config.method == "sdi":
        above = torch.rand(views, generator=generator) * config.inversion_overshoot * num_timesteps
        inverted_to = (timesteps + above.long()).clamp(max=num_timesteps - 1)

    return NoiseDraws(
        timesteps=timesteps,
        inverted_to=inverted_to,
        noise=torch.randn((views, *noise_shape), generator=generator),
        max_gradient=torch.full((views,), config.gradient_clip.at(progress) or math.inf),
    )


def draw_timesteps(
    generator: torch.Generator, progress: float, views: int, config: GuidanceConfig, num_timesteps: int
) -> Int[Tensor, " B"]:
    """Timesteps of `views` rows, uniform in the configured range at `progress` in [0, 1] of a slot's steps.

    Both ends of the range are included.
    """
    low, high = (
        min(round(ramp.at(progress) * num_timesteps), num_timesteps - 1)
        for ramp in (config.timestep_low, config.timestep_high)
    )
    return torch.randint(low, high + 1, (views,), generator=generator)


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


def classifier_free_guidance(
    noise_pred_uncond: Float[Tensor, "B C h w"], noise_pred_text: Float[Tensor, "B C h w"], guidance_scale: float
) -> Float[Tensor, "B C h w"]:
    """uncond + s (text - uncond): 1 is the text alone, DreamFusion's omega = 100 is s = 101."""
    return noise_pred_uncond + guidance_scale * (noise_pred_text - noise_pred_uncond)


def rescale_guidance(
    noise_pred_guided: Float[Tensor, "B C h w"],
    noise_pred_text: Float[Tensor, "B C h w"],
    noisy: Float[Tensor, "B C h w"],
    alphas_cumprod: Float[Tensor, " B"],
    share: float,
) -> Float[Tensor, "B C h w"]:
    """Guided noise whose clean picture has `share` of the way to the contrast of the unguided one.

    Guidance stretches the clean picture, which over-saturates; scaling it back by the ratio of the
    two standard deviations undoes that (Lin et al., arXiv 2305.08891, equations 15 and 16).
    """
    guided, text = (clean_part(noisy, noise, alphas_cumprod) for noise in (noise_pred_guided, noise_pred_text))
    ratio = text.std(dim=(1, 2, 3), keepdim=True) / guided.std(dim=(1, 2, 3), keepdim=True)
    return noise_part(noisy, guided * (share * ratio + 1.0 - share), alphas_cumprod)


def guided_noise(
    prior: ScorePrior,
    noisy: Float[Tensor, "B C h w"],
    timesteps: Int[Tensor, " B"],
    embeds: ViewEmbeds,
    guidance_scale: float,
    rescale: float = 0.0,
) -> Float[Tensor, "B C h w"]:
    """Noise prediction guided by the text and away from the negatives, if there are any.

    One call of the prior with (2 + N) B rows: all rows unconditional, all with their text, all with
    their first negative, and so on, each beside its own noisy picture and timestep.
    """
    prompt_embeds = torch.cat([embeds.unconditional, embeds.text, *embeds.negatives.unbind(dim=1)])
    num_texts = len(prompt_embeds) // len(noisy)
    noise_pred = prior.predict_noise(noisy.repeat(num_texts, 1, 1, 1), timesteps.repeat(num_texts), prompt_embeds)
    noise_pred = noise_pred.unflatten(0, (num_texts, -1))
    noise_pred_uncond, noise_pred_text, noise_pred_negatives = noise_pred[0], noise_pred[1], noise_pred[2:]

    # before the scale, so that it stretches what is left of the text's own direction
    noise_pred_perp = apply_perp_neg(noise_pred_text, noise_pred_uncond, noise_pred_negatives, embeds.negative_weights)
    guided = classifier_free_guidance(noise_pred_uncond, noise_pred_perp, guidance_scale)
    if rescale:
        guided = rescale_guidance(guided, noise_pred_text, noisy, prior.alphas_cumprod[timesteps], rescale)
    return guided


@torch.no_grad()
def distillation_gradient(
    prior: ScorePrior, latents: Float[Tensor, "B C h w"], sample: NoiseSample, config: GuidanceConfig
) -> Float[Tensor, "B C h w"]:
    """Gradient with respect to `latents`, by the configured method; a constant for autograd.

    `full_gradient` is that of weight / 2 (guided prediction - noise)^2, the training loss of the
    prior (DreamFusion, equation 2); the others leave the derivative of the prediction out of it.
    Not finite where a row of `latents` is not; rows do not touch one another.
    """
    weight = sds_weight(prior.alphas_cumprod[sample.timesteps], config.weighting).view(-1, 1, 1, 1)
    if config.method == "full_gradient":
        leaf = latents.detach().requires_grad_()
        with torch.enable_grad():
            residual = _residual(prior, leaf, sample.noise, sample, config)
        (gradient,) = torch.autograd.grad(residual, leaf, weight * residual.detach())
    else:
        noise = _inverted_noise(prior, latents, sample, config) if config.method == "sdi" else sample.noise
        gradient = weight * _residual(prior, latents, noise, sample, config)

    bound = sample.max_gradient.view(-1, 1, 1, 1)
    return gradient.clamp(-bound, bound)


def _residual(
    prior: ScorePrior, latents: Tensor, noise: Tensor, sample: NoiseSample, config: GuidanceConfig
) -> Float[Tensor, "B C h w"]:
    """The guided prediction minus the `noise` that was added."""
    noisy = add_noise(latents, noise, prior.alphas_cumprod[sample.timesteps])
    return guided_noise(prior, noisy, sample.timesteps, sample.embeds, config.guidance_scale, config.rescale) - noise


def _inverted_noise(
    prior: ScorePrior, latents: Tensor, sample: NoiseSample, config: GuidanceConfig
) -> Float[Tensor, "B C h w"]:
    def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
        return guided_noise(prior, noisy, timesteps, sample.embeds, config.inversion_guidance_scale)

    noisy = invert(predict, latents, sample.inverted_to, prior.alphas_cumprod, config.inversion_steps)
    signal = prior.alphas_cumprod[sample.inverted_to]
    return inverted_noise(noisy, latents, signal, sample.noise, config.inversion_eta)


def distill(latents: Float[Tensor, "B C h w"], gradient: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
    """A loss whose derivative with respect to `latents` is `gradient`, bit for bit.

    It is their inner product with `gradient` held constant, summed over pixels, channels and
    rows: neither its value nor its sign says how well a slot does. Nothing is normalised here; a
    caller that wants the mean over its V views divides by V.
    """
    return (latents * gradient.detach()).sum()
