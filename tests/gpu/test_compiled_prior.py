"""A compiled prior is the eager one. Compiling takes a minute or more, so this is apart from the other tests."""

from __future__ import annotations

import pytest
import torch

from dreamfoundry.diffusion.networks.replay import RECORDED_AFTER_CALLS
from dreamfoundry.diffusion.random_weights import ARCHITECTURES

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.timeout(600),
]

TOLERANCE = 1e-2
"""Of the norm: sums in another order, in float16."""


def error(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found - right).norm() / right.norm())


def test_latents_their_gradient_and_predictions_are_the_eager_ones() -> None:
    compiled, eager = (ARCHITECTURES["tiny-sd21"]("cuda", engine=engine) for engine in ("compiled", "eager"))
    pictures = torch.rand(2, 3, 512, 512, device="cuda", requires_grad=True)
    probe = torch.randn(2, 4, 64, 64, device="cuda") / 65_536
    timesteps, embeds = torch.tensor([300, 700], device="cuda"), torch.randn(2, 77, 1024, device="cuda").half()
    for _ in range(RECORDED_AFTER_CALLS + 2):
        latents = [prior.encode_pictures(pictures) for prior in (compiled, eager)]
        assert error(*latents) < TOLERANCE
        gradients = [torch.autograd.grad((one * probe).sum(), pictures)[0] for one in latents]
        assert error(*gradients) < TOLERANCE
        noisy = latents[1].detach()
        assert error(*(prior.predict_noise(noisy, timesteps, embeds) for prior in (compiled, eager))) < TOLERANCE
