"""The heads of fields in tiles and in parts against the layers as they are written down."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dreamfoundry.nerf.heads import heads, layers, layers_in_parts
from dreamfoundry.nerf.tiles import POINTS_PER_TILE


def draws(num_slots: int, num_points: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Features, then weight and bias of both layers: 6 features, 5 hidden, 4 outputs."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((num_points, 6), (6, 5), (1, 5), (5, 4), (1, 4))
    return [torch.randn(num_slots, *shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("num_points", [0, 1, 50, POINTS_PER_TILE + 3])
def test_tiles_have_the_outputs_and_gradients_of_the_layers(num_points: int) -> None:
    inputs = draws(2, num_points)
    torch.testing.assert_close(outputs_and_gradients(heads, inputs), outputs_and_gradients(layers, inputs))


@pytest.mark.parametrize("num_points", [0, 1, 50, 64, 448])
def test_parts_have_the_outputs_and_gradients_of_the_layers(num_points: int) -> None:
    inputs = draws(2, num_points)
    torch.testing.assert_close(outputs_and_gradients(layers_in_parts, inputs), outputs_and_gradients(layers, inputs))


def outputs_and_gradients(compute: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    outputs = compute(*inputs)
    weight = torch.linspace(-1.0, 1.0, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    return [outputs, *torch.autograd.grad((outputs * weight).sum(), inputs)]


class LongestSum(TorchDispatchMode):
    """The most numbers that a product of matrices adds up while it is on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.length = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "mm" in func._schema.name:
            self.length = max(self.length, args[-2].shape[-1])
        return func(*args, **(kwargs or {}))


def test_on_a_device_no_product_adds_up_more_than_a_part_of_the_points() -> None:
    inputs = [
        tensor.detach().to("meta").requires_grad_() for tensor in draws(2, 6400)
    ]  # 64 parts: 128 products for some 130 processors
    with LongestSum() as sums:
        torch.autograd.grad(heads(*inputs).sum(), inputs)
    assert sums.length == 100


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
