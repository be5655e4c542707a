"""A prior without weights, whose every answer can be worked out on paper."""

from __future__ import annotations

import torch

from dreamfoundry.diffusion.analytic import DISC_RADIUS, AnalyticPrior
from dreamfoundry.diffusion.noising import add_noise
from dreamfoundry.diffusion.prior import ScorePrior


def test_it_is_a_score_prior() -> None:
    assert isinstance(AnalyticPrior(), ScorePrior)


def test_its_prediction_is_the_expected_noise_given_the_noisy_picture() -> None:
    """Among many drawn pictures and noises, the noise regressed on the noisy pixel is the prediction."""
    prior = AnalyticPrior(2, variance=0.3, mean_pictures={"flat": torch.full((3, 2, 2), 0.7)})
    embeds, timesteps = prior.encode_prompts(["flat"]), torch.tensor([350])
    generator = torch.Generator().manual_seed(0)
    mean = 0.7 * 2 - 1
    pictures = mean + 0.3**0.5 * torch.randn(200_000, 1, 1, 1, generator=generator)
    noise = torch.randn(200_000, 1, 1, 1, generator=generator)
    noisy = add_noise(pictures, noise, prior.alphas_cumprod[timesteps].expand(200_000)).flatten()
    slope = float(((noisy - noisy.mean()) * noise.flatten()).mean() / noisy.var())
    for value in (-1.0, 0.0, 2.0):
        predicted = prior.predict_noise(torch.full((1, 3, 2, 2), value), timesteps, embeds)
        assert torch.allclose(predicted, torch.tensor(slope * (value - float(noisy.mean()))), atol=0.03)


def test_a_noiseless_belief_finds_the_noise_exactly() -> None:
    prior = AnalyticPrior(8, variance=0.0)
    embeds, timesteps = prior.encode_prompts(["a ball"]), torch.tensor([200])
    mean, noise = prior.mean_picture("a ball")[None] * 2 - 1, torch.randn(1, 3, 8, 8)
    noisy = add_noise(mean, noise, prior.alphas_cumprod[timesteps])
    assert torch.allclose(prior.predict_noise(noisy, timesteps, embeds), noise, atol=1e-4)


def test_all_views_of_a_prompt_show_the_same_disc_on_white() -> None:
    prior = AnalyticPrior(32)
    front, back = prior.mean_picture("a ball, front view"), prior.mean_picture("a ball, back view")
    assert torch.equal(front, back)
    assert not torch.equal(front, prior.mean_picture("a cup, front view"))
    assert torch.equal(front[:, 0, 0], torch.ones(3))
    share_inside = float((front[:, :, :] == front[:, 16:17, 16:17]).all(0).float().mean())
    assert abs(share_inside - torch.pi * DISC_RADIUS**2 / 4) < 0.02


def test_it_counts_its_calls_and_its_identity_tells_beliefs_apart() -> None:
    prior = AnalyticPrior(4)
    embeds = prior.encode_prompts(["a", "b"])
    prior.predict_noise(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]), embeds)
    assert (prior.num_encodings, prior.num_predictions) == (1, 1)
    assert prior.identity == AnalyticPrior(4).identity
    others = (
        AnalyticPrior(8),
        AnalyticPrior(4, variance=0.1),
        AnalyticPrior(4, mean_pictures={"a": torch.ones(3, 4, 4)}),
    )
    assert len({other.identity.digest for other in (prior, *others)}) == 4


def test_pictures_of_any_size_reach_its_pixels_with_a_gradient() -> None:
    pictures = torch.rand(1, 3, 20, 20, requires_grad=True)
    signed = AnalyticPrior(5).encode_pictures(pictures)
    assert signed.shape == (1, 3, 5, 5)
    signed.sum().backward()
    assert pictures.grad is not None
    assert torch.allclose(pictures.grad.sum(), torch.tensor(2.0 * 75), atol=1e-3)
