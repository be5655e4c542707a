"""One loader turns any diffusers folder, latent or pixel, into the same three answers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.networks.text_encoder import TextEncoder
from dreamfoundry.diffusion.networks.vae_encoder import VAE_ROWS
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.settings.prior_identity import PriorIdentity
from support.prior_folders import config_of


def test_a_latent_prior_answers_in_latents(latent: ScorePrior) -> None:
    assert latent.picture_px == 16
    embeds = latent.encode_prompts(["a red chair", ""])
    assert embeds.shape == (2, 77, 16)
    latents = latent.encode_pictures(torch.rand(2, 3, 20, 20))
    assert latents.shape == (2, 4, 8, 8)
    noise = latent.predict_noise(latents, torch.tensor([3, 990]), embeds)
    assert noise.shape == latents.shape
    assert noise.dtype == torch.float32
    assert noise.isfinite().all()


def test_a_pixel_prior_answers_in_signed_pixels(pixel: ScorePrior) -> None:
    assert pixel.picture_px == 8
    pictures = torch.rand(2, 3, 8, 8)
    signed = pixel.encode_pictures(pictures)
    assert torch.equal(signed, pictures * 2 - 1)
    noise = pixel.predict_noise(signed, torch.tensor([3, 990]), pixel.encode_prompts(["a red chair", ""]))
    assert noise.shape == (2, 3, 8, 8)


def test_larger_pictures_are_averaged_down_to_the_size_of_the_prior(pixel: ScorePrior) -> None:
    stripes = (torch.arange(32) % 2).float().expand(1, 3, 32, 32)
    assert torch.allclose(pixel.encode_pictures(stripes)[..., 1:-1], torch.zeros(1, 3, 8, 6), atol=1e-6)


def test_the_learned_variance_is_no_part_of_the_noise(pixel: ScorePrior, tiny_deepfloyd_folder: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(tiny_deepfloyd_folder, subfolder="unet", low_cpu_mem_usage=False)
    noisy, timesteps, embeds = torch.randn(2, 3, 8, 8), torch.tensor([10, 500]), pixel.encode_prompts(["a", "b"])
    with torch.no_grad():
        six_channels = unet(noisy, timesteps, encoder_hidden_states=embeds).sample
    assert six_channels.shape[1] == 6
    assert torch.allclose(pixel.predict_noise(noisy, timesteps, embeds), six_channels[:, :3], atol=1e-5)


def test_half_precision_answers_nearly_the_same(pixel: ScorePrior, tiny_deepfloyd_folder: Path) -> None:
    half = load_prior(config_of(tiny_deepfloyd_folder), dtype=torch.bfloat16)
    noisy, timesteps = torch.randn(4, 3, 8, 8), torch.tensor([20, 300, 600, 990])
    answers = [
        prior.predict_noise(noisy, timesteps, prior.encode_prompts(["a red chair"] * 4)) for prior in (pixel, half)
    ]
    assert answers[1].dtype == torch.float32
    assert 0.0 < (answers[0] - answers[1]).square().mean() < 1e-3 * answers[0].square().mean()


def test_a_perfect_velocity_becomes_the_noise_that_was_added() -> None:
    scheduler = DDPMScheduler()
    clean, noise, timesteps = torch.rand(3, 3, 4, 4), torch.randn(3, 3, 4, 4), torch.tensor([1, 400, 999])

    class PerfectUNet:
        config = SimpleNamespace(sample_size=4)
        dtype = torch.float32

        def __call__(self, noisy: torch.Tensor, timesteps: torch.Tensor, encoder_hidden_states: object) -> Any:
            return SimpleNamespace(sample=scheduler.get_velocity(clean, noise, timesteps))

    prior = DiffusersPrior(
        identity=PriorIdentity("perfect", "", "", "MIT"),
        alphas_cumprod=scheduler.alphas_cumprod,
        prediction_type="v_prediction",
        text_encoder=TextEncoder(None, None, "perfect"),
        unet=PerfectUNet(),
    )
    noisy = scheduler.add_noise(clean, noise, timesteps)
    assert torch.allclose(prior.predict_noise(noisy, timesteps, torch.zeros(3, 1, 1)), noise, atol=1e-5)


def test_pictures_receive_a_gradient_through_the_encoder_and_weights_do_not(latent: ScorePrior) -> None:
    assert isinstance(latent, DiffusersPrior)
    pictures = torch.rand(1, 3, 16, 16, requires_grad=True)
    latent.encode_pictures(pictures).sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().sum() > 0
    assert latent._vae is not None
    parts: tuple[Any, ...] = (latent._vae.model, latent._unet, latent._text_encoder.model)
    assert not any(weight.requires_grad for part in parts for weight in part.parameters())
    assert not any(part.training for part in parts)


def test_encoding_in_passes_equals_encoding_one_by_one(latent: ScorePrior) -> None:
    rows = VAE_ROWS + 1
    together = torch.rand(rows, 3, 16, 16, requires_grad=True)
    alone = together.detach().clone().requires_grad_()
    probe = torch.randn(rows, 4, 8, 8)
    fast = latent.encode_pictures(together)
    slow = torch.cat([latent.encode_pictures(alone[row : row + 1]) for row in range(rows)])
    assert torch.allclose(fast, slow, atol=1e-5)
    (fast * probe).sum().backward()
    (slow * probe).sum().backward()
    torch.testing.assert_close(together.grad, alone.grad, atol=1e-5, rtol=1e-5)


def test_a_prediction_has_a_graph_only_where_its_input_brings_one(latent: ScorePrior, pixel: ScorePrior) -> None:
    for prior, shape in ((latent, (1, 4, 8, 8)), (pixel, (1, 3, 8, 8))):
        embeds = prior.encode_prompts(["a"])
        assert not embeds.requires_grad
        noisy = torch.randn(shape)
        assert prior.predict_noise(noisy, torch.tensor([1]), embeds).grad_fn is None
        noisy.requires_grad_()
        prior.predict_noise(noisy, torch.tensor([1]), embeds).sum().backward()
        assert noisy.grad is not None
        assert noisy.grad.abs().sum() > 0
