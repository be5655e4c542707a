"""Pictures drawn by a pixel prior itself, to look at what it has learnt.

Dimension key:  B pictures · H pixels per side
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.diffusion.guidance import classifier_free
from dreamfoundry.diffusion.prior import ScorePrior


@torch.no_grad()
def ddim_pictures(
    prior: ScorePrior,
    texts: Sequence[str],
    unconditional_texts: Sequence[str],
    *,
    guidance_scale: float,
    num_steps: int,
    seed: int,
) -> Float[Tensor, "B 3 H H"]:
    """Deterministic sampling (Song et al. 2021, eq. 12 with eta = 0); pictures in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    text_embeds, uncond_embeds = prior.encode_prompts(texts), prior.encode_prompts(unconditional_texts)
    sample = torch.randn(len(texts), 3, prior.picture_px, prior.picture_px, generator=generator)
    last = len(prior.alphas_cumprod) - 1
    schedule = torch.linspace(last, 0, num_steps + 1).round().long()
    for now, following in zip(schedule[:-1], schedule[1:], strict=True):
        timesteps = now.repeat(2 * len(texts))
        both = prior.predict_noise(torch.cat([sample, sample]), timesteps, torch.cat([uncond_embeds, text_embeds]))
        uncond_noise, text_noise = both.chunk(2)
        noise = classifier_free(uncond_noise, text_noise, guidance_scale)
        signal, next_signal = prior.alphas_cumprod[now], prior.alphas_cumprod[following]
        clean = ((sample - (1 - signal).sqrt() * noise) / signal.sqrt()).clamp(-1.0, 1.0)
        noise = (sample - signal.sqrt() * clean) / (1 - signal).sqrt()
        sample = next_signal.sqrt() * clean + (1 - next_signal).sqrt() * noise
    return (sample.clamp(-1.0, 1.0) + 1.0) / 2.0
