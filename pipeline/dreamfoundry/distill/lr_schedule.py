"""Learning rates over the steps of a candidate: linear warm-up, then a cosine."""

from __future__ import annotations

import math

import torch

from dreamfoundry.settings.distillation import OptimizeConfig


def progress_at(optimize: OptimizeConfig, step: int) -> float:
    """Share of the steps that is done, in [0, 1]."""
    return step / max(1, optimize.num_steps - 1)


def lr_multiplier(optimize: OptimizeConfig, step: int) -> float:
    """Factor of the configured rates: a linear warm-up from 0, then a cosine down to `final_lr_fraction`."""
    progress = progress_at(optimize, step)
    if progress < optimize.warmup_fraction:
        return (step + 1) / max(1.0, optimize.warmup_fraction * optimize.num_steps + 1)
    share = (progress - optimize.warmup_fraction) / max(1e-9, 1.0 - optimize.warmup_fraction)
    cosine = 0.5 * (1.0 + float(torch.cos(torch.tensor(math.pi * share))))  # in single precision, as rates are
    return optimize.final_lr_fraction + (1.0 - optimize.final_lr_fraction) * cosine
