"""Regularisers against loops over rays, one value per slot."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dreamfoundry.nerf import regularizers


def unit(*shape: int, seed: int) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1)


def shares(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_orientation_equals_the_loop() -> None:
    normals, directions, opacity = unit(2, 8, 3, seed=0), unit(2, 8, 3, seed=1), shares(2, 8)
    slow = [
        sum(o * max(0.0, sum(a * b for a, b in zip(n, d, strict=True))) ** 2 for n, d, o in zip(*rays, strict=True)) / 8
        for rays in zip(normals.tolist(), directions.tolist(), opacity.tolist(), strict=True)
    ]
    torch.testing.assert_close(regularizers.orientation(normals, directions, opacity), torch.tensor(slow).double())


def test_a_surface_that_faces_the_camera_is_not_punished() -> None:
    directions = unit(1, 8, 3, seed=1)
    assert regularizers.orientation(-directions, directions, torch.ones(1, 8).double()).item() == 0.0
    assert math.isclose(regularizers.orientation(directions, directions, torch.ones(1, 8).double()).item(), 1.0)


def test_orientation_and_smoothness_do_not_pull_at_the_opacity() -> None:
    normals, opacity = unit(1, 16, 3, seed=0).requires_grad_(), shares(1, 16).requires_grad_()
    loss = regularizers.orientation(normals, unit(1, 16, 3, seed=1), opacity)
    loss = loss + regularizers.normal_smoothness(normals, opacity, 4)
    by_normals, by_opacity = torch.autograd.grad(loss.sum(), (normals, opacity), allow_unused=True)
    assert by_opacity is None
    assert by_normals.abs().max() > 0


def test_opacity_terms_equal_the_loops() -> None:
    opacity = shares(2, 10)
    rows = opacity.tolist()
    penalty = [sum(math.sqrt(o * o + 0.01) for o in row) / 10 for row in rows]
    entropy = [sum(-o * math.log2(o) - (1 - o) * math.log2(1 - o) for o in row) / 10 for row in rows]
    torch.testing.assert_close(regularizers.opacity_penalty(opacity), torch.tensor(penalty).double())
    torch.testing.assert_close(regularizers.sparsity(opacity), torch.tensor([sum(row) / 10 for row in rows]).double())
    torch.testing.assert_close(regularizers.binary_entropy(opacity), torch.tensor(entropy).double())


def test_entropy_is_greatest_in_fog_and_finite_at_certainty() -> None:
    opacity = torch.tensor([[0.0], [0.5], [1.0]], requires_grad=True)
    entropy = regularizers.binary_entropy(opacity)
    (gradient,) = torch.autograd.grad(entropy.sum(), opacity)
    torch.testing.assert_close(entropy.detach(), torch.tensor([0.0, 1.0, 0.0]), atol=1e-3, rtol=0)
    assert gradient.isfinite().all()


def test_smoothness_equals_the_loop_over_neighbouring_pixels() -> None:
    side, views = 3, 2
    normals, opacity = unit(2, views * side * side, 3, seed=0), shares(2, views * side * side)
    for slot in range(2):
        total, pairs = 0.0, 0
        for view in range(views):
            for row in range(side):
                for column in range(side):
                    here = (view * side + row) * side + column
                    neighbours = [here + 1] * (column + 1 < side) + [here + side] * (row + 1 < side)
                    for there in neighbours:
                        gap = (normals[slot, here] - normals[slot, there]).square().sum()
                        total += (opacity[slot, here] * opacity[slot, there] * gap).item()
                        pairs += 1
        actual = regularizers.normal_smoothness(normals, opacity, side)[slot].item()
        assert math.isclose(actual, total / pairs, rel_tol=1e-12)
