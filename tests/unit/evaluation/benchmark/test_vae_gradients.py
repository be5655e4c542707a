"""The study of the VAE's gradient tells a gradient that comes back from one that is lost."""

from __future__ import annotations

import pytest

from dreamfoundry.diffusion.random_weights import random_sd_encoder
from dreamfoundry.evaluation.benchmark.vae_gradients import SIZES, gradient_errors


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
