"""The forward process keeps the variance of pictures."""

from __future__ import annotations

import pytest
import torch

from dreamfoundry.diffusion.noising import add_noise


def test_noise_keeps_the_variance_of_unit_pictures() -> None:
    pictures, noise = torch.randn(2, 20_000).reshape(2, 2, 1, 100, 100).unbind(0)
    noisy = add_noise(pictures, noise, torch.tensor([0.9, 0.1]))
    assert noisy.var(dim=(1, 2, 3)).tolist() == pytest.approx([1.0, 1.0], abs=0.06)
    assert torch.equal(add_noise(pictures, noise, torch.ones(2)), pictures)
