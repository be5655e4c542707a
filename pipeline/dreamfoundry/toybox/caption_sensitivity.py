"""How much of a prior's answer comes from the caption, and how much it reads off the picture.

Score distillation needs a prior that listens: where a wrong caption costs nothing, guidance has no
direction. The error of the clean picture is measured under the right caption, one that names another
kind, one that names another view, and one that names the background only.

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
from dreamfoundry.toybox.training import TrainingConfig, ViewLibrary, training_batch

SHARES = (0.99, 0.9, 0.7, 0.5)
"""Where on the noise schedule to look; 1 is pure noise."""

SEED = 99
"""Not a seed of training, so that the pictures are new (their views are not)."""


def caption_errors(
    prior: ScorePrior, library: ViewLibrary, config: TrainingConfig, shading: ShadingConfig, num_pictures: int = 48
) -> dict[float, dict[str, float]]:
    """Mean squared error of the clean picture (pixels in [-1, 1]) by share of the schedule and caption."""
    batch = replace(config, batch_size=3 * num_pictures, seed=SEED)
    pictures, captions = training_batch(library, batch, shading, 0)
    complete = [
        index for index, text in enumerate(captions) if kind_of(text) and "view" in text and "untextured" not in text
    ][:num_pictures]
    pictures, captions = pictures[complete], [captions[index] for index in complete]
    rng = random.Random(SEED)
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(SEED))
    told = {
        "right": captions,
        "other kind": [_with_other_kind(text, rng) for text in captions],
        "other view": [_with_other_view(text, library, rng) for text in captions],
        "background only": [text.rsplit(", ", 1)[-1] for text in captions],
    }
    return {
        share: {name: _error(prior, pictures, noise, texts, share) for name, texts in told.items()} for share in SHARES
    }


def _error(
    prior: ScorePrior, pictures: Float[Tensor, "B 3 H H"], noise: Tensor, texts: Sequence[str], share: float
) -> float:
    timesteps = torch.full((len(pictures),), round(share * (len(prior.alphas_cumprod) - 1)))
    abar = prior.alphas_cumprod[timesteps]
    noisy = add_noise(pictures, noise, abar)
    predicted = prior.predict_noise(noisy, timesteps, prior.encode_prompts(texts))
    clean = clean_part(noisy, predicted, abar).clamp(-1.0, 1.0)
    return float((clean - pictures).square().mean())


def _with_other_kind(text: str, rng: random.Random) -> str:
    kind = str(kind_of(text))
    names = "|".join((kind, *KINDS[kind]))
    return re.sub(rf"\b({names})\b", rng.choice([other for other in KINDS if other != kind]), text)


def _with_other_view(text: str, library: ViewLibrary, rng: random.Random) -> str:
    """Another view of the same wording: the four plain words are never mixed with the finer ones."""
    plain, fine = (sorted(set(names)) for names in zip(*library.views, strict=True))
    view = re.search(r"(?<=, )[\w ]+(?= view)", text)
    assert view is not None
    others = [other for other in (plain if view[0] in plain else fine) if other != view[0]]
    return text.replace(f", {view[0]} view", f", {rng.choice(others)} view")
