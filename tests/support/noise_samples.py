"""Inputs of a score distillation gradient: texts per row, timesteps and noise."""

from __future__ import annotations

import math

import torch

from dreamfoundry.diffusion.guidance import NoiseSample
from dreamfoundry.diffusion.prompts import ViewEmbeds


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def view_embeds(text: torch.Tensor, uncond: torch.Tensor, negatives: int = 0) -> ViewEmbeds:
    """A text per row, and the same number of negatives for each: the texts of the rows that follow."""
    others = [text.roll(-1 - index, dims=0) for index in range(negatives)]
    return ViewEmbeds(
        text=text,
        unconditional=uncond,
        negatives=torch.stack(others, dim=1) if others else text[:, None][:, :0],
        negative_weights=torch.linspace(0.5, 1.5, len(text) * negatives).view(len(text), negatives),
    )


def noise_sample(
    embeds: ViewEmbeds, timesteps: torch.Tensor, noise: torch.Tensor, bound: float = math.inf
) -> NoiseSample:
    return NoiseSample(embeds, timesteps, timesteps, noise, torch.full((len(timesteps),), bound))
