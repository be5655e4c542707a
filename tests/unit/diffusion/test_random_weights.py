"""Random priors have the shapes of real ones: as many weights, on torch's device without values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dreamfoundry.diffusion.random_weights import ARCHITECTURES, random_sd21, random_sd_decoder


def test_it_is_as_large_as_stable_diffusion_2_1() -> None:
    prior = random_sd21("meta", torch.float16)
    parts: tuple[Any, ...] = (prior._unet, prior._text_encoder.model, prior._vae and prior._vae.model)
    sizes = [round(sum(weight.numel() for weight in part.parameters()) / 1e5) / 10 for part in parts]
    assert sizes == [865.9, 340.4, 34.2], "millions, as published; of the VAE the encoder only"
    assert prior.picture_px == 512
    assert prior.precision == "float16"
    assert prior.parkable_bytes == 2 * sum(weight.numel() for weight in prior._text_encoder.model.parameters()) + 77 * 8


def test_shapes_are_those_of_the_real_one() -> None:
    prior = random_sd21("meta", torch.float16)
    latents = prior.encode_pictures(torch.rand(1, 3, 64, 64, device="meta"))
    assert latents.shape == (1, 4, 64, 64)
    embeds = torch.zeros(2, 77, 1024, device="meta", dtype=torch.float16)
    noise = prior.predict_noise(latents.repeat(2, 1, 1, 1), torch.zeros(2, dtype=torch.long, device="meta"), embeds)
    assert noise.shape == (2, 4, 64, 64)
    assert noise.dtype == torch.float32


def test_a_tiny_vae_costs_a_ninth_of_the_real_one_for_the_same_latents() -> None:
    flop = {}
    for name in ("sd21", "sd21-tiny-vae"):
        prior = ARCHITECTURES[name]("meta", torch.float16)
        pictures = torch.rand(1, 3, 512, 512, device="meta", requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            latents = prior.encode_pictures(pictures)
            torch.autograd.grad(latents.sum(), pictures)
        assert latents.shape == (1, 4, 64, 64)
        flop[name] = counter.get_total_flops()
    assert flop["sd21"] == pytest.approx(2.27e12, rel=0.01)
    assert flop["sd21"] / flop["sd21-tiny-vae"] == pytest.approx(9.3, abs=0.1)


@pytest.mark.parametrize(("name", "millions"), [("if-m", 371.6), ("if-l", 935.4), ("if-xl", 4304.7)])
def test_pixel_priors_are_as_large_as_deepfloyd_if(name: str, millions: float) -> None:
    prior = ARCHITECTURES[name]("meta", torch.float16)
    assert sum(weight.numel() for weight in prior._unet.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
    pictures = prior.encode_pictures(torch.rand(1, 3, 64, 64, device="meta"))
    assert pictures.shape == (1, 3, 64, 64)
    embeds = torch.zeros(1, 77, 4096, device="meta", dtype=torch.float16)
    noise = prior.predict_noise(pictures, torch.zeros(1, dtype=torch.long, device="meta"), embeds)
    assert noise.shape == (1, 3, 64, 64), "what is learned of the variance is no noise"


def test_the_decoder_that_a_baseline_runs_for_nothing_makes_pictures() -> None:
    decode = random_sd_decoder("meta", torch.float16)
    assert decode(torch.zeros(1, 4, 64, 64, device="meta")).shape == (1, 3, 512, 512)
