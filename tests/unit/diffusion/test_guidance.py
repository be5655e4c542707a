"""Score distillation gives the gradient of the paper, with the calls of the prior that the method needs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.guidance import (
    classifier_free_guidance,
    distill,
    distillation_gradient,
    rescale_guidance,
    sds_weight,
)
from dreamfoundry.diffusion.noising import add_noise
from dreamfoundry.settings.distillation import GuidanceConfig
from support.noise_samples import noise_sample, view_embeds

PX = 4


def sds(
    prior: AnalyticPrior,
    pictures: torch.Tensor,
    text: torch.Tensor,
    uncond: torch.Tensor,
    timesteps: torch.Tensor,
    noise: torch.Tensor,
    config: GuidanceConfig,
) -> torch.Tensor:
    return distillation_gradient(prior, pictures, noise_sample(view_embeds(text, uncond), timesteps, noise), config)


@pytest.mark.parametrize("weighting", ["sigma_squared", "uniform"])
def test_the_gradient_is_the_analytic_one_of_a_gaussian_prior(weighting: Any) -> None:
    """For one text without guidance, pixel by pixel: w (sqrt(1-abar)(z - sqrt(abar) m) / spread - noise)."""
    variance = 0.2
    prior = AnalyticPrior(PX, variance=variance)
    text = prior.encode_prompts(["a ball", "a cup"])
    pictures, noise = torch.rand(2, 3, PX, PX) * 2 - 1, torch.randn(2, 3, PX, PX)
    timesteps = torch.tensor([100, 800])
    config = GuidanceConfig(guidance_scale=1.0, weighting=weighting)
    gradient = sds(prior, pictures, text, prior.encode_prompts(["", ""]), timesteps, noise, config)

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
    noise = torch.randn(rows, 3, PX, PX, generator=torch.Generator().manual_seed(0))
    timesteps = torch.full((rows,), 300)
    config = GuidanceConfig(guidance_scale=1.0)
    average = sds(prior, pictures, text, text, timesteps, noise, config).mean()
    signal = float(prior.alphas_cumprod[300])
    expected = (1 - signal) * math.sqrt(1 - signal) * math.sqrt(signal) * offset / (signal * 0.1 + 1 - signal)
    assert float(average) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("config", "negatives", "calls"),
    [
        (GuidanceConfig(), 0, 1),
        (GuidanceConfig(rescale=0.5), 0, 1),
        (GuidanceConfig(perp_neg=True), 2, 1),
        (GuidanceConfig(method="full_gradient"), 0, 1),
        (GuidanceConfig(method="full_gradient", perp_neg=True), 2, 1),
        (GuidanceConfig(method="sdi", inversion_steps=3), 0, 1 + 3),
        (GuidanceConfig(method="sdi", inversion_steps=10, perp_neg=True), 2, 1 + 10),
    ],
)
def test_a_method_makes_its_number_of_calls_whatever_the_rows(
    config: GuidanceConfig, negatives: int, calls: int
) -> None:
    prior = AnalyticPrior(PX)
    for rows in (1, 6):
        before = prior.num_predictions
        embeds = view_embeds(prior.encode_prompts(["a ball"] * rows), prior.encode_prompts([""] * rows), negatives)
        pictures = torch.rand(rows, 3, PX, PX)
        sample = noise_sample(embeds, torch.full((rows,), 500), torch.randn_like(pictures))
        distillation_gradient(prior, pictures, sample, config)
        assert prior.num_predictions == before + calls


@pytest.mark.parametrize("method", ["sds", "sdi", "full_gradient"])
def test_rows_do_not_touch_one_another(method: Any) -> None:
    prior = AnalyticPrior(PX)
    embeds = view_embeds(prior.encode_prompts(["a ball", "a cup"]), prior.encode_prompts(["", ""]), negatives=2)
    pictures, noise, timesteps = torch.rand(2, 3, PX, PX), torch.randn(2, 3, PX, PX), torch.tensor([50, 600])
    sample = noise_sample(embeds, timesteps, noise)
    config = GuidanceConfig(method=method, rescale=0.5)
    both = distillation_gradient(prior, pictures, sample, config)
    broken = pictures.clone()
    broken[1] = torch.nan
    with_a_broken_neighbor = distillation_gradient(prior, broken, sample, config)
    assert torch.equal(with_a_broken_neighbor[0], both[0])
    assert with_a_broken_neighbor[1].isnan().all()


def test_the_scale_is_that_of_uncond_plus_s_times_the_difference() -> None:
    uncond, text = torch.randn(2, 1, 3, PX, PX).unbind(0)
    assert torch.allclose(classifier_free_guidance(uncond, text, 1.0), text, atol=1e-6)
    omega = 100.0
    assert torch.allclose(
        classifier_free_guidance(uncond, text, omega + 1), (1 + omega) * text - omega * uncond, rtol=1e-4, atol=1e-3
    )


def test_the_guided_gradient_uses_the_text_and_leaves_the_unconditional() -> None:
    prior = AnalyticPrior(PX)
    text, uncond = prior.encode_prompts(["a ball"]), prior.encode_prompts([""])
    pictures, noise, timesteps = torch.rand(1, 3, PX, PX), torch.randn(1, 3, PX, PX), torch.tensor([400])

    def at(scale: float) -> torch.Tensor:
        return sds(prior, pictures, text, uncond, timesteps, noise, GuidanceConfig(guidance_scale=scale))

    signal = prior.alphas_cumprod[timesteps]
    noisy = add_noise(pictures, noise, signal)
    difference = prior.predict_noise(noisy, timesteps, text) - prior.predict_noise(noisy, timesteps, uncond)
    assert torch.allclose(at(11.0) - at(1.0), 10.0 * (1 - signal) * difference, atol=1e-5)


def test_the_loss_has_exactly_the_gradient_it_is_given() -> None:
    latents = torch.randn(2, 3, PX, PX, requires_grad=True)
    gradient = torch.randn(2, 3, PX, PX)
    distill(latents, gradient).backward()
    assert latents.grad is not None
    assert torch.equal(latents.grad, gradient)


@pytest.mark.parametrize("method", ["sds", "sdi", "full_gradient"])
def test_the_gradient_is_a_constant(method: Any) -> None:
    prior = AnalyticPrior(PX)
    embeds = prior.encode_prompts(["a ball"]).requires_grad_()
    pictures = torch.rand(1, 3, PX, PX, requires_grad=True)
    noise, timesteps = torch.randn(1, 3, PX, PX), torch.tensor([5])
    config = GuidanceConfig(method=method)
    assert not sds(prior, pictures, embeds, embeds, timesteps, noise, config).requires_grad
    assert pictures.grad is None


def test_the_average_gradient_is_that_of_the_probability_density_distillation_objective() -> None:
    """DreamFusion A.4: SDS is the derivative of sqrt((1 - abar) / abar) w KL(q(noisy | picture) || p(noisy)).

    For a Gaussian prior everything is linear in the noise, so that two opposite draws give the expectation.
    """
    variance = 0.3
    prior = AnalyticPrior(PX, variance=variance)
    mean = prior.mean_picture("a ball")[None] * 2 - 1
    text = prior.encode_prompts(["a ball"])
    for timestep in (30, 400, 900):
        for weighting in ("sigma_squared", "uniform"):
            signal = prior.alphas_cumprod[timestep]
            pictures = (torch.rand(1, 3, PX, PX) * 2 - 1).requires_grad_()
            picture_noised = Normal(signal.sqrt() * pictures, (1 - signal).sqrt())
            prior_noised = Normal(signal.sqrt() * mean, (signal * variance + 1 - signal).sqrt())
            divergence = kl_divergence(Independent(picture_noised, 4), Independent(prior_noised, 4))
            weight = sds_weight(signal[None], weighting)[0]
            (expected,) = torch.autograd.grad(((1 - signal) / signal).sqrt() * weight * divergence, pictures)

            noise = torch.randn(1, 3, PX, PX)
            config = GuidanceConfig(guidance_scale=1.0, weighting=weighting)
            drawn, opposite = (
                sds(prior, pictures.detach(), text, text, torch.tensor([timestep]), draw, config)
                for draw in (noise, -noise)
            )
            torch.testing.assert_close((drawn + opposite) / 2, expected, rtol=1e-3, atol=1e-5)


def test_the_full_gradient_is_the_derivative_of_the_weighted_error_of_the_prediction() -> None:
    """In closed form: the prediction of this prior has the slope sqrt(1 - abar) / spread in the noisy picture."""
    variance, scale = 0.2, 7.0
    prior = AnalyticPrior(PX, variance=variance)
    text, uncond = prior.encode_prompts(["a ball", "a cup"]), prior.encode_prompts(["", ""])
    pictures, noise = torch.rand(2, 3, PX, PX) * 2 - 1, torch.randn(2, 3, PX, PX)
    timesteps = torch.tensor([150, 800])
    for weighting in ("sigma_squared", "uniform", "reconstruction"):
        config = GuidanceConfig(guidance_scale=scale, weighting=weighting)
        without = sds(prior, pictures, text, uncond, timesteps, noise, config)
        full = sds(prior, pictures, text, uncond, timesteps, noise, replace(config, method="full_gradient"))
        signal = prior.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        slope = (1 - signal).sqrt() / (signal * variance + 1 - signal)
        torch.testing.assert_close(full, signal.sqrt() * slope * without)


def test_the_full_gradient_equals_the_numerical_one_with_everything_switched_on() -> None:
    torch.manual_seed(0)  # one draw in a hundred has a slope that steps of 0.01 do not see as closely
    prior = AnalyticPrior(2, variance=0.2)
    text, uncond = prior.encode_prompts(["a ball", "a cup", "a hat"]), prior.encode_prompts([""] * 3)
    embeds = view_embeds(text, uncond, negatives=2)
    pictures, noise = torch.rand(3, 3, 2, 2) * 2 - 1, torch.randn(3, 3, 2, 2)
    config = GuidanceConfig(method="full_gradient", guidance_scale=3.0, rescale=0.5, perp_neg=True)
    sample = noise_sample(embeds, torch.tensor([400, 600, 700]), noise)
    gradient = distillation_gradient(prior, pictures, sample, config)
    weight = sds_weight(prior.alphas_cumprod[sample.timesteps], "sigma_squared").view(-1, 1, 1, 1)

    def loss(at: torch.Tensor) -> float:
        """weight / 2 |residual|^2, the residual being what SDS weighs."""
        weighted = distillation_gradient(prior, at, sample, replace(config, method="sds"))
        return float((weighted.double().square() / (2 * weight)).sum())

    for place in [(0, 0, 0, 0), (1, 2, 1, 0), (2, 1, 0, 1)]:
        nudge = torch.zeros_like(pictures)
        nudge[place] = 1e-2
        numerical = (loss(pictures + nudge) - loss(pictures - nudge)) / 2e-2
        assert float(gradient[place]) == pytest.approx(numerical, rel=2e-2, abs=1e-3)


def test_each_row_is_clipped_to_its_own_bound() -> None:
    prior = AnalyticPrior(PX)
    text, uncond = prior.encode_prompts(["a ball"] * 3), prior.encode_prompts([""] * 3)
    pictures, noise, timesteps = torch.rand(3, 3, PX, PX), torch.randn(3, 3, PX, PX), torch.tensor([100, 500, 900])
    free = noise_sample(view_embeds(text, uncond), timesteps, noise)
    bounded = replace(free, max_gradient=torch.tensor([0.1, math.inf, 0.3]))
    before, after = (distillation_gradient(prior, pictures, sample, GuidanceConfig()) for sample in (free, bounded))
    assert before[0].abs().max() > 0.1
    assert before[2].abs().max() > 0.3
    assert torch.equal(after[0], before[0].clamp(-0.1, 0.1))
    assert torch.equal(after[1], before[1])
    assert torch.equal(after[2], before[2].clamp(-0.3, 0.3))


def test_a_gradient_that_is_not_a_number_is_not_clipped_into_one() -> None:
    prior = AnalyticPrior(PX)
    embeds = view_embeds(prior.encode_prompts(["a ball"]), prior.encode_prompts([""]))
    sample = noise_sample(embeds, torch.tensor([400]), torch.randn(1, 3, PX, PX), bound=0.5)
    assert distillation_gradient(prior, torch.full((1, 3, PX, PX), math.nan), sample, GuidanceConfig()).isnan().all()


def test_weights_are_the_noise_variance_or_one() -> None:
    signal = torch.tensor([0.75, 0.25])
    assert sds_weight(signal, "sigma_squared").tolist() == [0.25, 0.75]
    assert sds_weight(signal, "uniform").tolist() == [1.0, 1.0]


def test_the_reconstruction_weight_makes_the_gradient_picture_minus_clean() -> None:
    prior = AnalyticPrior(PX, variance=0.2)
    pictures, noise = torch.rand(2, 3, PX, PX) * 2 - 1, torch.randn(2, 3, PX, PX)
    timesteps, text = torch.tensor([200, 700]), prior.encode_prompts(["a ball", "a cup"])
    config = GuidanceConfig(guidance_scale=1.0, weighting="reconstruction")
    gradient = sds(prior, pictures, text, text, timesteps, noise, config)

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

    found = rescale_guidance(noise_of(3 * text_clean), noise_of(text_clean), noisy, abar, share)
    assert torch.allclose(found, noise_of(expected_ratio * text_clean), atol=1e-4)
