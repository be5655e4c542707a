"""Timesteps, noise and bounds of a slot are drawn by its own generator and progress."""

from __future__ import annotations

import math

import pytest
import torch

from dreamfoundry.diffusion.guidance import draw_noise_sample, draw_timesteps
from dreamfoundry.settings.distillation import GuidanceConfig
from dreamfoundry.settings.values import Ramp, constant
from support.noise_samples import generators

PX = 4


def test_the_bound_follows_the_progress_of_the_slot() -> None:
    def bounds(clip: Ramp, progress: float) -> list[float]:
        (generator,) = generators(0)
        return draw_noise_sample(
            generator, progress, 2, GuidanceConfig(gradient_clip=clip), 1000, (3, PX, PX)
        ).max_gradient.tolist()

    assert bounds(Ramp(0.5, 2.5), 0.0) == [0.5, 0.5]
    assert bounds(Ramp(0.5, 2.5), 0.5) == [1.5, 1.5]
    assert bounds(constant(0.0), 0.5) == [math.inf] * 2


def test_timesteps_cover_the_configured_range_and_nothing_else() -> None:
    (generator,) = generators(0)
    drawn = draw_timesteps(generator, 0.3, 20_000, GuidanceConfig(), 1000)
    assert (int(drawn.min()), int(drawn.max())) == (20, 980)
    assert float(drawn.float().mean()) == pytest.approx(500, abs=5)


def test_timesteps_follow_the_progress_of_the_slot() -> None:
    config = GuidanceConfig(timestep_low=Ramp(0.98, 0.02), timestep_high=Ramp(1.0, 0.5))
    early, half, late = (
        draw_timesteps(generator, progress, 500, config, 1000)
        for generator, progress in zip(generators(1, 2, 3), (0.0, 0.5, 1.0), strict=True)
    )
    assert (int(early.min()), int(early.max())) == (980, 999)
    assert 500 <= int(half.min()) <= 510
    assert 740 <= int(half.max()) <= 750
    assert 20 <= int(late.min()) <= 30
    assert 490 <= int(late.max()) <= 500


def test_noise_is_unit_gaussian_and_of_the_shape_of_the_latents() -> None:
    (generator,) = generators(7)
    noise = draw_noise_sample(generator, 0.0, 64, GuidanceConfig(), 1000, (3, PX, PX)).noise
    assert noise.shape == (64, 3, PX, PX)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(torch.std(noise)) == pytest.approx(1.0, abs=0.1)
