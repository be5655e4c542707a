"""Inversion finds the noise that a picture would have been made of."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.guidance import NoiseSample, distillation_gradient
from dreamfoundry.diffusion.inversion import invert, inverted_noise
from dreamfoundry.diffusion.noising import add_noise, clean_part, noise_part
from dreamfoundry.diffusion.prompts import ViewEmbeds
from dreamfoundry.settings.distillation import GuidanceConfig

PX = 4
TIMESTEPS = torch.tensor([40, 333, 900])


def example(
    variance: float = 0.2,
) -> tuple[AnalyticPrior, Callable[[torch.Tensor, torch.Tensor], torch.Tensor], torch.Tensor]:
    """A Gaussian prior, its predictions for one text, and three pictures."""
    prior = AnalyticPrior(PX, variance=variance)
    embeds = prior.encode_prompts(["a ball"] * 3)
    pictures = torch.rand(3, 3, PX, PX, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return prior, lambda noisy, timesteps: prior.predict_noise(noisy, timesteps, embeds), pictures


def test_every_row_walks_to_its_own_timestep_as_it_would_alone() -> None:
    """A loop over rows and steps in plain numbers, one pixel at a time."""
    variance, num_steps = 0.2, 7
    prior, predict, pictures = example(variance)
    found = invert(predict, pictures, TIMESTEPS, prior.alphas_cumprod, num_steps)
    mean = prior.mean_picture("a ball") * 2 - 1
    for row, last in enumerate(TIMESTEPS.tolist()):
        for place in [(0, 0, 0), (2, 1, 3)]:
            value, signal = float(pictures[row][place]), 1.0
            for step in range(num_steps):
                asked = float(prior.alphas_cumprod[last * step // num_steps])
                spread = asked * variance + 1 - asked
                noise = math.sqrt(1 - asked) * (value - math.sqrt(asked) * float(mean[place])) / spread
                clean = (value - math.sqrt(1 - signal) * noise) / math.sqrt(signal)
                signal = float(prior.alphas_cumprod[last * (step + 1) // num_steps])
                value = math.sqrt(signal) * clean + math.sqrt(1 - signal) * noise
            assert float(found[row][place]) == pytest.approx(value, rel=1e-3, abs=1e-4)


def test_many_steps_arrive_at_the_solution_of_the_differential_equation() -> None:
    """For a Gaussian: the distance from the mean grows as the spread of the noised prior does."""
    variance = 0.2
    prior, predict, pictures = example(variance)
    signal = prior.alphas_cumprod[TIMESTEPS].view(-1, 1, 1, 1)
    mean = prior.mean_picture("a ball") * 2 - 1
    spread = signal * variance + 1 - signal
    exact = signal.sqrt() * mean + (spread / variance).sqrt() * (pictures - mean)

    def error(num_steps: int) -> float:
        found = invert(predict, pictures, TIMESTEPS, prior.alphas_cumprod, num_steps)
        return float((found - exact).abs().max())

    quarter, many = error(100), error(400)
    assert many < 0.04
    assert quarter / many == pytest.approx(4.0, rel=0.1)


def test_adding_the_found_noise_leads_back_to_the_inverted_picture() -> None:
    prior, predict, pictures = example()
    signal = prior.alphas_cumprod[TIMESTEPS]
    inverted = invert(predict, pictures, TIMESTEPS, prior.alphas_cumprod, 10)
    noise = inverted_noise(inverted, pictures, signal, torch.randn_like(pictures), eta=0.0)
    torch.testing.assert_close(add_noise(pictures, noise, signal), inverted, rtol=1e-4, atol=1e-4)


def test_denoising_what_was_inverted_in_one_step_leads_back_to_the_picture() -> None:
    """One step up and one step down with the same noise cancel; the prior sees it before the step."""
    prior, predict, pictures = example()
    signal = prior.alphas_cumprod[TIMESTEPS]
    inverted = invert(predict, pictures, TIMESTEPS, prior.alphas_cumprod, 1)
    seen = predict(pictures, torch.zeros_like(TIMESTEPS))
    torch.testing.assert_close(noise_part(inverted, pictures, signal), seen, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(clean_part(inverted, seen, signal), pictures, rtol=1e-3, atol=1e-3)


def test_fresh_noise_is_mixed_in_as_its_share_and_keeps_the_variance() -> None:
    found, fresh, pictures = torch.randn(3, 1, 1, 200, 200).unbind(0)
    signal = torch.tensor([0.4])
    inverted = add_noise(pictures, found, signal)
    mixed = inverted_noise(inverted, pictures, signal, fresh, eta=0.3)
    torch.testing.assert_close(mixed, 0.91**0.5 * found + 0.3 * fresh, rtol=1e-3, atol=1e-4)
    assert float(mixed.var()) == pytest.approx(1.0, abs=0.03)
    assert torch.equal(inverted_noise(inverted, pictures, signal, fresh, eta=1.0), fresh)


def gradient(eta: float, seed: int, overshoot: int = 0, **changes: float) -> torch.Tensor:
    prior, _, pictures = example()
    text, uncond = prior.encode_prompts(["a ball"] * 3), prior.encode_prompts([""] * 3)
    embeds = ViewEmbeds(text, uncond, text[:, None][:, :0], torch.zeros(3, 0))
    fresh = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(seed))
    sample = NoiseSample(embeds, TIMESTEPS, TIMESTEPS + overshoot, fresh, torch.full((3,), math.inf))
    config = GuidanceConfig(method="sdi", inversion_eta=eta, **changes)  # type: ignore[arg-type]
    return distillation_gradient(prior, pictures, sample, config)


def test_without_fresh_noise_nothing_is_left_to_chance() -> None:
    assert torch.equal(gradient(0.0, seed=1), gradient(0.0, seed=2))
    assert not torch.equal(gradient(0.3, seed=1), gradient(0.3, seed=2))


def test_all_fresh_noise_is_score_distillation_as_it_was() -> None:
    prior, _, pictures = example()
    text, uncond = prior.encode_prompts(["a ball"] * 3), prior.encode_prompts([""] * 3)
    embeds = ViewEmbeds(text, uncond, text[:, None][:, :0], torch.zeros(3, 0))
    fresh = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(5))
    sample = NoiseSample(embeds, TIMESTEPS, TIMESTEPS, fresh, torch.full((3,), math.inf))
    assert torch.equal(distillation_gradient(prior, pictures, sample, GuidanceConfig()), gradient(1.0, seed=5))


def test_the_gradient_is_that_of_the_noise_found_where_the_inversion_ended() -> None:
    prior, _, pictures = example()
    text, uncond = prior.encode_prompts(["a ball"] * 3), prior.encode_prompts([""] * 3)

    def predict(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        seen, nothing = (prior.predict_noise(noisy, timesteps, embeds) for embeds in (text, uncond))
        return nothing - 2.0 * (seen - nothing)

    ended = TIMESTEPS + 30
    inverted = invert(predict, pictures, ended, prior.alphas_cumprod, 4)
    noise = noise_part(inverted, pictures, prior.alphas_cumprod[ended])
    signal = prior.alphas_cumprod[TIMESTEPS]
    noisy = add_noise(pictures, noise, signal)
    expected = (1 - signal).view(-1, 1, 1, 1) * (prior.predict_noise(noisy, TIMESTEPS, text) - noise)
    changes = {"inversion_steps": 4, "inversion_guidance_scale": -2.0, "guidance_scale": 1.0}
    torch.testing.assert_close(gradient(0.0, 0, overshoot=30, **changes), expected, rtol=1e-3, atol=1e-4)


def test_the_gradient_of_the_reconstruction_vanishes_at_a_picture_that_the_prior_keeps() -> None:
    """Inverting and denoising a typical picture of the text gives it back, but for the length of the steps."""
    prior, _, _ = example()
    mean = prior.mean_picture("a ball")[None] * 2 - 1
    text = prior.encode_prompts(["a ball"])
    embeds = ViewEmbeds(text, text, text[:, None][:, :0], torch.zeros(1, 0))
    timesteps = torch.tensor([600])
    sample = NoiseSample(embeds, timesteps, timesteps, torch.randn_like(mean), torch.tensor([math.inf]))
    config = GuidanceConfig(
        method="sdi", guidance_scale=1.0, weighting="reconstruction", inversion_eta=0.0, inversion_guidance_scale=1.0
    )
    torch.testing.assert_close(
        distillation_gradient(prior, mean, sample, config), torch.zeros_like(mean), atol=1e-3, rtol=0
    )
