"""Kernels against their twins in Triton's interpreter, in double precision: `test_kernels` runs this file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

import pytest
import torch

from support.kernel_cases import (
    adam_sides,
    compositing_pairs,
    hash_encoding_pairs,
    hash_inputs,
    ray_inputs,
    shared_gradient_pairs,
)

assert os.environ.get("TRITON_INTERPRET") == "1", "triton reads this as it is imported"

DOUBLE = torch.float64


def require_close(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
    for actual, expected in pairs:
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize(("num_slots", "num_points", "features"), [(1, 5, 1), (2, 257, 2), (3, 40, 3)])
def test_hash_encoding_and_its_gradient_equal_the_twin(num_slots: int, num_points: int, features: int) -> None:
    grid, (table, points) = hash_inputs(num_slots, num_points, DOUBLE, features)
    assert grid.levels[:, 2].tolist() == [0, 0, 1, 1]
    require_close(hash_encoding_pairs(grid, table, points, "cpu"))


def test_two_readings_of_a_table_share_the_sum_of_their_gradients() -> None:
    grid, (table, points) = hash_inputs(2, 40, DOUBLE)
    require_close(shared_gradient_pairs(grid, table, points, "cpu"))


@pytest.mark.parametrize("where", ["table", "points"])
def test_a_nan_stays_in_its_slot_of_the_hash_encoding(where: str) -> None:
    grid, (table, points) = hash_inputs(2, 30, DOUBLE)
    clean = hash_encoding_pairs(grid, table, points, "cpu")
    (table if where == "table" else points)[0] = math.nan
    poisoned = hash_encoding_pairs(grid, table, points, "cpu")
    assert poisoned[0][0][0].isnan().any()
    require_close(poisoned[:1])
    assert all(torch.equal(after[1], before[1]) for (after, _), (before, _) in zip(poisoned, clean, strict=True))


@pytest.mark.parametrize(("num_slots", "num_rays", "num_samples"), [(1, 3, 4), (3, 7, 13), (2, 5, 64)])
def test_compositing_and_its_gradients_equal_the_twin(num_slots: int, num_rays: int, num_samples: int) -> None:
    require_close(compositing_pairs(ray_inputs(num_slots, num_rays, num_samples, DOUBLE), "cpu"))


def test_a_nan_stays_in_its_slot_of_the_compositing() -> None:
    inputs = ray_inputs(2, 5, 13, DOUBLE)
    clean = compositing_pairs(inputs, "cpu")
    inputs[0][0, 3, 2] = math.nan
    poisoned = compositing_pairs(inputs, "cpu")
    require_close(poisoned)
    assert poisoned[0][0][0, 3].isnan()
    assert all(torch.equal(after[1], before[1]) for (after, _), (before, _) in zip(poisoned, clean, strict=True))


@pytest.mark.parametrize("num_slots", [1, 4])
def test_adam_equals_the_twin_also_when_slots_start_apart(num_slots: int) -> None:
    require_close(zip(*adam_sides(num_slots, DOUBLE, "cpu"), strict=True))


def test_a_nan_stays_in_its_slot_of_adam() -> None:
    kernel, twin = adam_sides(3, DOUBLE, "cpu", poisoned=1)
    clean, _ = adam_sides(3, DOUBLE, "cpu")
    require_close(zip(kernel, twin, strict=True))
    assert kernel[0][1].isnan().all()
    assert all(torch.equal(a[[0, 2]], b[[0, 2]]) for a, b in zip(kernel, clean, strict=True))


def test_a_slot_that_is_not_live_keeps_every_bit_whatever_its_gradient_is() -> None:
    from dreamfoundry.nerf.kernels.slot_adam import slot_adam

    tensor, mean, square = (torch.randn(2, 5, dtype=DOUBLE).abs() for _ in range(3))
    before = [one.clone() for one in (tensor, mean, square)]
    ones, gradient = torch.ones(2, dtype=DOUBLE), torch.ones(2, 5, dtype=DOUBLE)
    gradient[0] = math.nan
    slot_adam(tensor, mean, square, gradient, ones, ones, ones, torch.tensor([False, True]), (0.9, 0.99), 1e-15)
    for after, earlier in zip((tensor, mean, square), before, strict=True):
        assert torch.equal(after[0], earlier[0])
        assert not torch.equal(after[1], earlier[1])
