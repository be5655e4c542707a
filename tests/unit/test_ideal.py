"""The ideal prior: exact for the pictures it is made of, and honest about what it cannot answer."""

import pytest
import torch

from dreamfoundry.config import CameraConfig, ShadingConfig
from dreamfoundry.diffusion.guidance import add_noise
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.errors import PromptFailure
from dreamfoundry.toybox.ideal import IdealPrior
from dreamfoundry.toybox.training import TrainingConfig, trace_library

CHAIR = "a red chair, white background"
ANYTHING = "white background"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    config = TrainingConfig(picture_px=8, views_per_kind=4)
    return trace_library(config, CameraConfig(), tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="module")
def prior(library) -> IdealPrior:
    return IdealPrior(library, ShadingConfig(), pictures_per_caption=6, width=0.1)


def clean_picture(prior, noisy, timestep, text):
    """What the prior takes the picture in `noisy` to be."""
    abar = prior.alphas_cumprod[timestep]
    noise = prior.predict_noise(noisy, torch.tensor([timestep]), prior.encode_prompts([text]))
    return (noisy - (1 - abar).sqrt() * noise) / abar.sqrt()


def test_it_is_a_score_prior(prior):
    assert isinstance(prior, ScorePrior)


def test_a_little_noise_on_one_of_its_pictures_is_recognised_as_that_noise(prior):
    picture = prior._draw(CHAIR)[2].reshape(1, 3, 8, 8)
    noise = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    timestep = 300
    noisy = add_noise(picture, noise, prior.alphas_cumprod[[timestep]])

    assert torch.allclose(clean_picture(prior, noisy, timestep, CHAIR), picture, atol=0.08)


def test_out_of_pure_noise_it_sees_the_mean_of_its_pictures(prior):
    noisy = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    abar = prior.alphas_cumprod[[998]]
    noise = prior.predict_noise(noisy, torch.tensor([998]), prior.encode_prompts([CHAIR]))
    mean = prior._draw(CHAIR).mean(dim=0).reshape(1, 3, 8, 8)

    assert torch.allclose(noise, (noisy - abar.sqrt() * mean) / (1 - abar).sqrt(), atol=0.01)


def test_its_answer_equals_bayes_rule_written_out(prior):
    timestep, width = 600, 0.1
    noisy = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    abar = prior.alphas_cumprod[timestep].double()
    pictures, row = prior._draw(ANYTHING).double(), noisy.flatten().double()
    spread = abar * width**2 + 1 - abar
    likelihood = [torch.exp(-((row - abar.sqrt() * x) ** 2).sum() / (2 * spread)) for x in pictures]
    # Each cloud's own posterior is Gaussian: its mean lies between its center and the noisy picture.
    centers = [x + abar.sqrt() * width**2 / spread * (row - abar.sqrt() * x) for x in pictures]
    expected = sum(w * c for w, c in zip(likelihood, centers, strict=True)) / sum(likelihood)

    found = clean_picture(prior, noisy, timestep, ANYTHING).flatten().double()
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_caption_decides_its_pictures(library, prior):
    grey = prior._draw("a red sphere, grey background")
    again = IdealPrior(library, ShadingConfig(), pictures_per_caption=6)._draw("a red sphere, grey background")

    assert torch.equal(grey, again)
    assert not torch.equal(grey, prior._draw("a red cone, grey background"))


def test_a_caption_without_a_background_is_refused(prior):
    with pytest.raises(PromptFailure, match="needs a background"):
        prior.encode_prompts(["a red chair"])
