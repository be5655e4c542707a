"""Every way to guide, with the files, classes and channels of real priors: one latent, one in pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.guidance import distillation_gradient
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.prompts import encode, gather_embeds
from dreamfoundry.distill.step.inputs import draw_slot, noise_shape_of, step_inputs
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.recipe import Recipe
from support.small_loop import all_of

VARIANTS: dict[str, dict[str, object]] = {
    "sds": {},
    "rescale": {"rescale": 0.5},
    "reconstruction": {"weighting": "reconstruction"},
    "perp_neg": {"perp_neg": True},
    "gradient_clip": {"gradient_clip": {"start": 0.01, "end": 0.02}},
    "sdi": {"method": "sdi", "inversion_steps": 2, "guidance_scale": 7.5},
    "sdi perp_neg": {"method": "sdi", "inversion_steps": 2, "guidance_scale": 7.5, "perp_neg": True},
    "full_gradient": {"method": "full_gradient"},
    "full_gradient perp_neg": {"method": "full_gradient", "perp_neg": True},
}


@pytest.fixture(scope="module", params=["latent", "pixel"])
def prior(
    request: pytest.FixtureRequest, tiny_stable_diffusion_folder: Path, tiny_deepfloyd_folder: Path
) -> ScorePrior:
    folder = tiny_stable_diffusion_folder if request.param == "latent" else tiny_deepfloyd_folder
    return load_prior(PriorConfig(path=str(folder), license="MIT"))


class Watched:
    """A prior that keeps what it answered."""

    def __init__(self, prior: ScorePrior) -> None:
        self.prior = prior
        self.answers: list[torch.Tensor] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.prior, name)

    def predict_noise(self, *arguments: Any) -> torch.Tensor:
        self.answers.append(self.prior.predict_noise(*arguments))
        return self.answers[-1]


def gradient(prior: Any, variant: dict[str, object], negative: str = "", seed: int = 0) -> torch.Tensor:
    """The gradient of two slots of two views each, as the main loop asks for it."""
    recipe = with_overrides(Recipe(), {f"guidance.{key}": value for key, value in variant.items()})
    recipe = with_overrides(recipe, {"optimize.views_per_step": 2, "render.image_px": 8})
    prompts = [Prompt(text, text, negative_text=negative) for text in ("a mug", "a car")]
    tables = [encode(prior, prompt, recipe.wording).rows for prompt in prompts]
    shape = noise_shape_of(prior, recipe, "cpu")
    draws = [
        draw_slot(recipe, torch.Generator().manual_seed(seed + index), 0.5 * index, shape)
        for index in range(len(tables))
    ]
    inputs = step_inputs(recipe, draws, all_of(len(draws)), len(tables[0]), torch.device("cpu"))
    pictures = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(9))
    latents = prior.encode_pictures(pictures).requires_grad_()
    noise_sample = inputs.noise.told(gather_embeds(torch.cat(tables), inputs.views))
    return distillation_gradient(prior, latents, noise_sample, recipe.guidance)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_gives_a_finite_gradient_and_the_same_one_again(prior: ScorePrior, name: str) -> None:
    first = gradient(prior, VARIANTS[name])
    assert first.isfinite().all()
    assert first.abs().max() > 0
    assert not first.requires_grad
    assert torch.equal(gradient(prior, VARIANTS[name]), first)
    assert not torch.equal(gradient(prior, VARIANTS[name], seed=5), first)


def test_variants_are_not_one_another(prior: ScorePrior) -> None:
    gradients = [gradient(prior, variant) for variant in VARIANTS.values()]
    for index, one in enumerate(gradients):
        assert not any(torch.equal(one, other) for other in gradients[:index])


@pytest.mark.parametrize("name", ["sds", "sdi perp_neg", "full_gradient"])
def test_a_negative_prompt_matters(prior: ScorePrior, name: str) -> None:
    assert not torch.equal(gradient(prior, VARIANTS[name], negative="blurry"), gradient(prior, VARIANTS[name]))


def test_a_graph_through_the_unet_is_built_for_the_full_gradient_only(prior: ScorePrior) -> None:
    for name, variant in VARIANTS.items():
        watched = Watched(prior)
        gradient(watched, variant)
        assert {answer.requires_grad for answer in watched.answers} == {"full_gradient" in name}


def test_the_decoder_cannot_have_run_for_it_is_not_there(prior: ScorePrior) -> None:
    assert isinstance(prior, DiffusersPrior)
    assert prior._vae is None or prior._vae.model.decoder is None
