"""The random prior has the shapes of Stable Diffusion 2.1: as many weights, on torch's device without values."""

from __future__ import annotations

import torch

from dreamfoundry.diffusion.random_weights import random_sd21


def test_it_is_as_large_as_stable_diffusion_2_1() -> None:
    prior = random_sd21("meta", torch.float16)
    sizes = [
        round(sum(weight.numel() for weight in part.parameters()) / 1e5) / 10
        for part in (prior._unet, prior._text_encoder, prior._vae)
    ]
    assert sizes == [865.9, 340.4, 34.2], "millions, as published; of the VAE the encoder only"
    assert prior.picture_px == 512 and prior.precision == "float16"
    assert prior.parkable_bytes == 2 * sum(weight.numel() for weight in prior._text_encoder.parameters()) + 77 * 8


def test_shapes_are_those_of_the_real_one() -> None:
    prior = random_sd21("meta", torch.float16)
    latents = prior.to_noise_space(torch.rand(1, 3, 64, 64, device="meta"))
    assert latents.shape == (1, 4, 64, 64)
    embeds = torch.zeros(2, 77, 1024, device="meta", dtype=torch.float16)
    noise = prior.predict_noise(latents.repeat(2, 1, 1, 1), torch.zeros(2, dtype=torch.long, device="meta"), embeds)
    assert noise.shape == (2, 4, 64, 64) and noise.dtype == torch.float32
