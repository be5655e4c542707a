"""Score distillation gives the gradient of the paper, with one call of the prior."""

from __future__ import annotations

import math

import pytest
import torch

from dreamfoundry.config import GuidanceConfig, Ramp
from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.guidance import (
    add_noise,
    classifier_free,
    distill,
    draw_noise,
    draw_timesteps,
    rescaled,
    sds_gradient,
    sds_weight,
)

PX = 4


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("weighting", ["sigma_squared", "uniform"])
def test_the_gradient_is_the_analytic_one_of_a_gaussian_prior(weighting: str) -> None:
    """For one text without guidance, pixel by pixel: w (sqrt(1-abar)(z - sqrt(abar) m) / spread - noise)."""
    variance = 0.2
    prior = AnalyticPrior(PX, variance=variance)
    text = prior.encode_prompts(["a ball", "a cup"])
    pictures, noise = torch.rand(2, 3, PX, PX) * 2 - 1, torch.randn(2, 3, PX, PX)
    timesteps = torch.tensor([100, 800])
    config = GuidanceConfig(guidance_scale=1.0, weighting=weighting)  # type: ignore[arg-type]
    gradient = sds_gradient(prior, pictures, text, prior.encode_prompts(["", ""]), timesteps, noise, config)

    mean = torch.stack([prior.mean_picture("a ball"), prior.mean_picture("a cup")]) * 2 - 1
    for row, timestep in enumerate(timesteps.tolist()):
        signal = float(prior.alphas_cumprod[timestep])
        sigma, scale = math.sqrt(1 - signal), math.sqrt(signal)
        weight = 1 - signal if weighting == "sigma_squared" else 1.0
        for at in [(0, 0, 0), (1, 2, 3), (2, 1, 1)]:
            drawn, pixel, middle = (float(tensor[row][at]) for tensor in (noise, pictures, mean))
            noisy = scale * pixel + sigma * drawn
            expected = weight * (sigma * (noisy - scale * middle) / (signal * variance + 1 - signal) - drawn)
            assert float(gradient[row][at]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_on_average_the_gradient_points_from_the_mean_to_the_picture() -> None:
    prior = AnalyticPrior(PX, variance=0.1)
    rows = 4000
    mean = prior.mean_picture("a ball") * 2 - 1
    offset = 0.5
    pictures = (mean + offset).expand(rows, -1, -1, -1).contiguous()
    text = prior.encode_prompts(["a ball"]).expand(rows, -1, -1)
    noise = draw_noise(generators(0), rows, (3, PX, PX))
    timesteps = torch.full((rows,), 300)
    config = GuidanceConfig(guidance_scale=1.0)
    average = sds_gradient(prior, pictures, text, text, timesteps, noise, config).mean()
    signal = float(prior.alphas_cumprod[300])
    expected = (1 - signal) * math.sqrt(1 - signal) * math.sqrt(signal) * offset / (signal * 0.1 + 1 - signal)
    assert float(average) == pytest.approx(expected, rel=0.02)


def test_one_call_of_the_prior_whatever_the_rows() -> None:
    prior = AnalyticPrior(PX)
    for rows in (1, 6):
        before = prior.num_predictions
        embeds = prior.encode_prompts(["a ball"] * rows)
        pictures = torch.rand(rows, 3, PX, PX)
        timesteps = torch.full((rows,), 5)
        sds_gradient(prior, pictures, embeds, embeds, timesteps, torch.randn_like(pictures), GuidanceConfig())
        assert prior.num_predictions == before + 1


def test_rows_do_not_touch_one_another() -> None:
    prior = AnalyticPrior(PX)
    embeds = prior.encode_prompts(["a ball", "a cup"])
    uncond = prior.encode_prompts(["", ""])
    pictures, noise, timesteps = torch.rand(2, 3, PX, PX), torch.randn(2, 3, PX, PX), torch.tensor([50, 600])
    both = sds_gradient(prior, pictures, embeds, uncond, timesteps, noise, GuidanceConfig())
    broken = pictures.clone()
    broken[1] = torch.nan
    with_a_broken_neighbor = sds_gradient(prior, broken, embeds, uncond, timesteps, noise, GuidanceConfig())
    assert torch.equal(with_a_broken_neighbor[0], both[0]) and with_a_broken_neighbor[1].isnan().all()


def test_the_scale_is_that_of_uncond_plus_s_times_the_difference() -> None:
    uncond, text = torch.randn(2, 1, 3, PX, PX).unbind(0)
    assert torch.allclose(classifier_free(uncond, text, 1.0), text, atol=1e-6)
    omega = 100.0
    assert torch.allclose(
        classifier_free(uncond, text, omega + 1), (1 + omega) * text - omega * uncond, rtol=1e-4, atol=1e-3
    )


def test_the_guided_gradient_uses_the_text_and_leaves_the_unconditional() -> None:
    prior = AnalyticPrior(PX)
    text, uncond = prior.encode_prompts(["a ball"]), prior.encode_prompts([""])
    pictures, noise, timesteps = torch.rand(1, 3, PX, PX), torch.randn(1, 3, PX, PX), torch.tensor([400])

    def at(scale: float) -> torch.Tensor:
        return sds_gradient(prior, pictures, text, uncond, timesteps, noise, GuidanceConfig(guidance_scale=scale))

    signal = prior.alphas_cumprod[timesteps]
    noisy = add_noise(pictures, noise, signal)
    difference = prior.predict_noise(noisy, timesteps, text) - prior.predict_noise(noisy, timesteps, uncond)
    assert torch.allclose(at(11.0) - at(1.0), 10.0 * (1 - signal) * difference, atol=1e-5)


def test_the_loss_has_exactly_the_gradient_it_is_given() -> None:
    noise_space = torch.randn(2, 3, PX, PX, requires_grad=True)
    gradient = torch.randn(2, 3, PX, PX)
    distill(noise_space, gradient).backward()
    assert torch.equal(noise_space.grad, gradient)


def test_no_gradient_flows_through_the_prior() -> None:
    prior = AnalyticPrior(PX)
    embeds = prior.encode_prompts(["a ball"]).requires_grad_()
    pictures = torch.rand(1, 3, PX, PX, requires_grad=True)
    noise, timesteps = torch.randn(1, 3, PX, PX), torch.tensor([5])
    assert not sds_gradient(prior, pictures, embeds, embeds, timesteps, noise, GuidanceConfig()).requires_grad


def test_noise_keeps_the_variance_of_unit_pictures() -> None:
    pictures, noise = torch.randn(2, 20_000).reshape(2, 2, 1, 100, 100).unbind(0)
    noisy = add_noise(pictures, noise, torch.tensor([0.9, 0.1]))
    assert noisy.var(dim=(1, 2, 3)).tolist() == pytest.approx([1.0, 1.0], abs=0.06)
    assert torch.equal(add_noise(pictures, noise, torch.ones(2)), pictures)


def test_weights_are_the_noise_variance_or_one() -> None:
    signal = torch.tensor([0.75, 0.25])
    assert sds_weight(signal, "sigma_squared").tolist() == [0.25, 0.75]
    assert sds_weight(signal, "uniform").tolist() == [1.0, 1.0]


def test_the_reconstruction_weight_makes_the_gradient_picture_minus_clean() -> None:
    prior = AnalyticPrior(PX, variance=0.2)
    pictures, noise = torch.rand(2, 3, PX, PX) * 2 - 1, torch.randn(2, 3, PX, PX)
    timesteps, text = torch.tensor([200, 700]), prior.encode_prompts(["a ball", "a cup"])
    config = GuidanceConfig(guidance_scale=1.0, weighting="reconstruction")
    gradient = sds_gradient(prior, pictures, text, text, timesteps, noise, config)

    abar = prior.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    noisy = add_noise(pictures, noise, prior.alphas_cumprod[timesteps])
    clean = (noisy - (1 - abar).sqrt() * prior.predict_noise(noisy, timesteps, text)) / abar.sqrt()
    assert torch.allclose(gradient, pictures - clean, atol=1e-4)


@pytest.mark.parametrize(("share", "expected_ratio"), [(0.0, 3.0), (0.5, 2.0), (1.0, 1.0)])
def test_rescaling_takes_back_the_contrast_that_guidance_added(share: float, expected_ratio: float) -> None:
    """With a guided clean picture of three times the contrast, share s leaves s + 3 (1 - s) of it."""
    abar = torch.tensor([0.3, 0.8])
    signal = abar.view(-1, 1, 1, 1)
    text_clean, noise = torch.randn(2, 3, PX, PX), torch.randn(2, 3, PX, PX)
    noisy = add_noise(text_clean, noise, abar)

    def noise_of(clean: torch.Tensor) -> torch.Tensor:
        return (noisy - signal.sqrt() * clean) / (1 - signal).sqrt()

    found = rescaled(noise_of(3 * text_clean), noise_of(text_clean), noisy, abar, share)
    assert torch.allclose(found, noise_of(expected_ratio * text_clean), atol=1e-4)


def test_timesteps_cover_the_configured_range_and_nothing_else() -> None:
    drawn = draw_timesteps(generators(0), [0.3], 20_000, GuidanceConfig(), 1000)
    assert (int(drawn.min()), int(drawn.max())) == (20, 980)
    assert float(drawn.float().mean()) == pytest.approx(500, abs=5)


def test_each_slot_follows_its_own_progress() -> None:
    config = GuidanceConfig(timestep_low=Ramp(0.98, 0.02), timestep_high=Ramp(1.0, 0.5))
    early, half, late = draw_timesteps(generators(1, 2, 3), [0.0, 0.5, 1.0], 500, config, 1000).view(3, 500)
    assert (int(early.min()), int(early.max())) == (980, 999)
    assert 500 <= int(half.min()) <= 510 and 740 <= int(half.max()) <= 750
    assert 20 <= int(late.min()) <= 30 and 490 <= int(late.max()) <= 500


def test_the_draws_of_a_slot_do_not_depend_on_its_neighbors() -> None:
    config = GuidanceConfig()
    alone = draw_timesteps(generators(7), [0.1], 4, config, 1000)
    crowded = draw_timesteps(generators(3, 7, 9), [0.9, 0.1, 0.0], 4, config, 1000)
    assert torch.equal(crowded[4:8], alone)
    noise_alone = draw_noise(generators(7), 4, (3, PX, PX))
    assert torch.equal(draw_noise(generators(3, 7, 9), 4, (3, PX, PX))[4:8], noise_alone)
