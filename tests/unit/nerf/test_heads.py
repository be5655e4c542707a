"""The heads of fields in tiles against the layers as they are written down."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dreamfoundry.nerf.heads import heads, layers
from dreamfoundry.nerf.tiles import POINTS_PER_TILE


def draws(num_slots: int, num_points: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Features, then weight and bias of both layers: 6 features, 5 hidden, 4 outputs."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((num_points, 6), (6, 5), (1, 5), (5, 4), (1, 4))
    return [torch.randn(num_slots, *shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("num_points", [0, 1, 50, POINTS_PER_TILE + 3])
def test_tiles_have_the_outputs_and_gradients_of_the_layers(num_points: int) -> None:
    inputs = draws(2, num_points)
    sides = []
    for compute in (heads, layers):
        outputs = compute(*inputs)
        weight = torch.linspace(-1.0, 1.0, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
        sides.append([outputs, *torch.autograd.grad((outputs * weight).sum(), inputs)])
    torch.testing.assert_close(sides[0], sides[1])


def test_a_slot_has_the_same_bits_beside_any_neighbours_also_diverged_ones() -> None:
    inputs = draws(3, 40, torch.float32)
    alone = heads(*(tensor[1:2] for tensor in inputs))
    for poison in (0.5, math.nan):
        with torch.no_grad():
            for tensor in inputs:
                tensor[0] = poison
        outputs = heads(*inputs)
        assert torch.equal(outputs[1:2], alone)
        gradients = torch.autograd.grad(outputs.sum(), inputs)
        assert all(gradient[1:].isfinite().all() for gradient in gradients)
