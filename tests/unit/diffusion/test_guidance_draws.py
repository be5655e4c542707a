"""Timesteps, noise and bounds are drawn per slot, by its own generator and progress."""

from __future__ import annotations

import math

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.guidance import (
    draw_noise,
    draw_timesteps,
    sample_noise,
)
from dreamfoundry.settings.distillation import GuidanceConfig
from dreamfoundry.settings.values import Ramp, constant
from support.noise_samples import generators, view_embeds

PX = 4


def test_the_bound_follows_the_progress_of_each_slot() -> None:
    prior = AnalyticPrior(PX)
    embeds = view_embeds(prior.encode_prompts(["a ball"] * 4), prior.encode_prompts([""] * 4))

    def bounds(clip: Ramp) -> list[float]:
        config = GuidanceConfig(gradient_clip=clip)
        sample = sample_noise(embeds, generators(0, 1), [0.0, 0.5], config, 1000, (3, PX, PX), "cpu")
        return sample.max_gradient.tolist()

    assert bounds(Ramp(0.5, 2.5)) == [0.5, 0.5, 1.5, 1.5]
    assert bounds(constant(0.0)) == [math.inf] * 4


def test_timesteps_cover_the_configured_range_and_nothing_else() -> None:
    drawn = draw_timesteps(generators(0), [0.3], 20_000, GuidanceConfig(), 1000)
    assert (int(drawn.min()), int(drawn.max())) == (20, 980)
    assert float(drawn.float().mean()) == pytest.approx(500, abs=5)


def test_each_slot_follows_its_own_progress() -> None:
    config = GuidanceConfig(timestep_low=Ramp(0.98, 0.02), timestep_high=Ramp(1.0, 0.5))
    early, half, late = draw_timesteps(generators(1, 2, 3), [0.0, 0.5, 1.0], 500, config, 1000).view(3, 500)
    assert (int(early.min()), int(early.max())) == (980, 999)
    assert 500 <= int(half.min()) <= 510
    assert 740 <= int(half.max()) <= 750
    assert 20 <= int(late.min()) <= 30
    assert 490 <= int(late.max()) <= 500


def test_the_draws_of_a_slot_do_not_depend_on_its_neighbors() -> None:
    config = GuidanceConfig()
    alone = draw_timesteps(generators(7), [0.1], 4, config, 1000)
    crowded = draw_timesteps(generators(3, 7, 9), [0.9, 0.1, 0.0], 4, config, 1000)
    assert torch.equal(crowded[4:8], alone)
    noise_alone = draw_noise(generators(7), 4, (3, PX, PX))
    assert torch.equal(draw_noise(generators(3, 7, 9), 4, (3, PX, PX))[4:8], noise_alone)
