"""Denoising error under correct and wrong captions.

Score distillation needs a prior that follows its text: where a wrong caption costs nothing, guidance
has no direction. The error of the denoised picture is measured under the correct caption, one that
names another kind, one that names another view, and one that names the background only.

Dimension key:  B pictures · H pixels per side
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.diffusion.noising import add_noise, clean_part
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.settings.distillation import ShadingConfig
from dreamfoundry.toybox.captions import KINDS, kind_of
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import TracedViews, training_batch

SCHEDULE_FRACTIONS = (0.99, 0.9, 0.7, 0.5)
"""Noise levels, as fractions of the noise schedule; 1 is pure noise."""

SEED = 99
"""Not a seed of training, so that the pictures are new (their views are not)."""


def caption_errors(
    prior: ScorePrior, views: TracedViews, config: TrainingConfig, shading: ShadingConfig, num_pictures: int = 48
) -> dict[float, dict[str, float]]:
    """Mean squared error of the denoised picture (pixels in [-1, 1]) by noise level and caption."""
    batch = replace(config, batch_size=3 * num_pictures, seed=SEED)
    pictures, captions = training_batch(views, batch, shading, 0)

    # only captions that name kind and view have something to get wrong
    complete = [
        index for index, text in enumerate(captions) if kind_of(text) and "view" in text and "untextured" not in text
    ][:num_pictures]
    pictures, captions = pictures[complete], [captions[index] for index in complete]

    rng = random.Random(SEED)
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(SEED))
    variants = {
        "right": captions,
        "other kind": [_with_other_kind(text, rng) for text in captions],
        "other view": [_with_other_view(text, views, rng) for text in captions],
        "background only": [text.rsplit(", ", 1)[-1] for text in captions],
    }
    return {
        fraction: {name: _error(prior, pictures, noise, texts, fraction) for name, texts in variants.items()}
        for fraction in SCHEDULE_FRACTIONS
    }


def _error(
    prior: ScorePrior, pictures: Float[Tensor, "B 3 H H"], noise: Tensor, texts: Sequence[str], fraction: float
) -> float:
    pictures, noise = pictures.to(prior.device), noise.to(prior.device)
    timesteps = torch.full((len(pictures),), round(fraction * (len(prior.alphas_cumprod) - 1)), device=prior.device)
    abar = prior.alphas_cumprod[timesteps]
    noisy = add_noise(pictures, noise, abar)
    predicted = prior.predict_noise(noisy, timesteps, prior.encode_prompts(texts))
    clean = clean_part(noisy, predicted, abar).clamp(-1.0, 1.0)
    return float((clean - pictures).square().mean())


def _with_other_kind(text: str, rng: random.Random) -> str:
    kind = str(kind_of(text))
    names = "|".join((kind, *KINDS[kind]))
    return re.sub(rf"\b({names})\b", rng.choice([other for other in KINDS if other != kind]), text)


def _with_other_view(text: str, views: TracedViews, rng: random.Random) -> str:
    """Another view in the same wording: the four plain words are never mixed with the finer ones."""
    plain, fine = (sorted(set(names)) for names in zip(*views.views, strict=True))
    view = re.search(r"(?<=, )[\w ]+(?= view)", text)
    assert view is not None
    others = [other for other in (plain if view[0] in plain else fine) if other != view[0]]
    return text.replace(f", {view[0]} view", f", {rng.choice(others)} view")
