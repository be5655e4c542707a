"""The study of the VAE's gradient tells a gradient that comes back from one that is lost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from dreamfoundry.diffusion.random_weights import random_sd_encoder
from dreamfoundry.evaluation.benchmark.vae_gradients import SIZES, gradient_errors


def test_every_encoder_is_compared_with_the_exact_one_at_every_size() -> None:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4}
    kinds: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    own = AutoencoderKL(**shape, **kinds).requires_grad_(False)
    tiny = AutoencoderTiny().requires_grad_(False)
    lines = list(gradient_errors(own, tiny, picture_px=16))
    found = {(line.encoder, line.num_views, line.size): line for line in lines}
    assert len(found) == len(lines) == 4 * 2 * len(SIZES)

    for views in (1, 4):
        for size in SIZES:
            assert found["float16", views, size].relative < 0.01
            assert found["bfloat16", views, size].relative < 0.1
            assert found["prior.vae, float32", views, size].cosine < 0.5, "random weights have nothing in common"
        assert found["float16, not scaled", views, 0.1].relative > 0.5
    alike = (found["prior.vae, float32", 1, size].relative for size in SIZES)
    assert len({round(value, 4) for value in alike}) == 1, "float32 knows no size"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_half_precision_gives_the_gradient_of_single_precision_through_an_encoder_of_real_shape() -> None:
    lines = list(gradient_errors(random_sd_encoder(), None, picture_px=32))
    assert {(line.num_views, line.size) for line in lines} == {(views, size) for views in (1, 4) for size in SIZES}
    for line in lines:
        if line.encoder == "float16":
            assert line.relative < 0.01, line
        if line.encoder == "float16, not scaled":
            assert line.relative > 0.9, line
