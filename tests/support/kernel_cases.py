"""Each kernel beside its twin on the same numbers: in Triton's interpreter here, on CUDA in tests/gpu.

A case gives what the kernel made and what the torch code on the CPU made, in the same order: first
the results, then the gradients.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from dreamfoundry.distill.step.slot_adam import SlotAdam
from dreamfoundry.nerf.hash_grid import HashGrid
from dreamfoundry.nerf.render import accumulate
from dreamfoundry.settings.field import FieldConfig, HashGridConfig

Pairs = list[tuple[Tensor, Tensor]]

TINY_GRID = HashGridConfig(num_levels=4, entries_per_level=256, coarsest_resolution=3, finest_resolution=30)
"""Levels of 3, 6, 13 and 30 vertices per side: the first two fit, the others are hashed."""


def draws(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def hash_inputs(
    num_slots: int, num_points: int, dtype: torch.dtype, features: int = 2
) -> tuple[HashGrid, tuple[Tensor, Tensor]]:
    """A grid, its table and points, some of them on vertices and outside of the cube."""
    config = FieldConfig(
        encoding="hash", hash_grid=dataclasses.replace(TINY_GRID, features_per_level=features), bound=1.5
    )
    grid = HashGrid(config, "cpu")
    points = draws(2, num_slots, num_points, 3, dtype=dtype)
    points[:, :3] = torch.tensor([[-1.5, 0.0, 1.5], [1.5, 1.5, 1.5], [-2.0, 0.3, 9.0]], dtype=dtype)
    return grid, (draws(1, num_slots, grid.num_entries, features, dtype=dtype), points)


def hash_encoding_pairs(grid: HashGrid, table: Tensor, points: Tensor, device: str) -> Pairs:
    from dreamfoundry.nerf.kernels.hash_encoding import hash_encoding

    def kernel(table: Tensor) -> Tensor:
        levels, here = grid.levels.to(device), points.to(device)
        return hash_encoding(table.to(device), here, levels, grid.entries_per_level, grid.bound)

    sides = []
    for encode in (kernel, lambda table: grid.encode(table, points)):
        values = table.clone().requires_grad_()
        features = encode(values)
        upstream = draws(3, *features.shape, dtype=table.dtype).to(features.device)
        sides.append((features.detach().cpu(), *torch.autograd.grad(features, values, upstream)))
    return list(zip(*sides, strict=True))


def shared_gradient_pairs(grid: HashGrid, table: Tensor, points: Tensor, device: str) -> Pairs:
    """Two readings of a table by the kernel, and the gradient that they share."""
    from dreamfoundry.nerf.kernels.hash_encoding import hash_encoding
    from dreamfoundry.nerf.trilinear import SharedGradient

    shared = SharedGradient()

    def kernel(table: Tensor, points: Tensor) -> Tensor:
        levels, here = grid.levels.to(device), points.to(device)
        return hash_encoding(table.to(device), here, levels, grid.entries_per_level, grid.bound, shared)

    sides = []
    for encode in (kernel, grid.encode):
        values = table.clone().requires_grad_()
        first, second = encode(values, points), encode(values, points.flip(1) * 0.5)
        upstream = [draws(3 + index, *first.shape, dtype=table.dtype).to(first.device) for index in range(2)]
        (gradient,) = torch.autograd.grad((first, second), values, upstream)
        sides.append((first.detach().cpu(), second.detach().cpu(), gradient))
    assert shared.tensor is not None
    return list(zip(*sides, strict=True))


def ray_inputs(num_slots: int, num_rays: int, num_samples: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Density (a ray of nothing, one of thin fog and a wall among them), albedo, deltas, distances."""
    shape = (num_slots, num_rays, num_samples)
    density = draws(1, *shape, dtype=dtype).exp() * 3.0
    density[:, 0] = 0.0
    density[:, 1] *= 1e-6
    density[:, 2, num_samples // 2 :] = 1e30
    deltas = draws(2, num_slots, num_rays, 1, dtype=dtype).abs().expand(shape) / num_samples
    return density, torch.sigmoid(draws(3, *shape, 3, dtype=dtype)), deltas, deltas.cumsum(dim=-1) + 1.0


def compositing_pairs(inputs: tuple[Tensor, ...], device: str) -> Pairs:
    from dreamfoundry.nerf.kernels import compositing

    sides = []
    for see, where in ((compositing.accumulate, device), (accumulate, "cpu")):
        density, albedo = (values.detach().to(where).requires_grad_() for values in inputs[:2])
        results = see(density, albedo, *(values.to(where) for values in inputs[2:]))
        assert not results[2].requires_grad
        upstream = [draws(4 + n, *one.shape, dtype=one.dtype).to(where) for n, one in enumerate(results[:2])]
        gradients = torch.autograd.grad(results[:2], (density, albedo), upstream)
        sides.append([one.detach().cpu() for one in (*results, *gradients)])
    return list(zip(*sides, strict=True))


def adam_sides(num_slots: int, dtype: torch.dtype, device: str, poisoned: int | None = None) -> tuple[Any, Any]:
    """State of every slot, parameters included, after four steps by the kernel and by the twin.

    Slot k enters at step k % 3; a `poisoned` one has gradients of NaN.
    """
    from dreamfoundry.nerf.kernels.slot_adam import slot_adam

    betas, eps = (0.9, 0.99), 1e-15
    table = draws(1, num_slots, 1030, 2, dtype=dtype)
    lrs = torch.linspace(0.01, 0.02, num_slots)
    scales = torch.linspace(0.3, 1.0, num_slots, dtype=dtype)
    kernel = [one.to(device) for one in (table.clone(), torch.zeros_like(table), torch.zeros_like(table))]
    parameters = {"table": table.clone()}
    twin = SlotAdam(parameters, betas, eps)
    for step in range(4):
        gradient = draws(10 + step, *table.shape, dtype=dtype)
        gradient[:, step::7] = 0.0  # most rows get no gradient in most steps
        if poisoned is not None:
            gradient[poisoned] = math.nan
        live = torch.tensor([step >= slot % 3 for slot in range(num_slots)])
        twin.step({"table": gradient}, scales, {"table": lrs}, live)
        count = twin.num_steps.clamp(min=1).double()
        lr, correction = lrs / (1.0 - betas[0] ** count), (1.0 - betas[1] ** count).sqrt()
        tensors = [*kernel, *(one.to(device) for one in (gradient, scales, lr.to(dtype), correction.to(dtype), live))]
        tensor, mean, square, gradient, scales_there, lrs_there, corrections, live_there = tensors
        slot_adam(tensor, mean, square, gradient, scales_there, lrs_there, corrections, live_there, betas, eps)
    states = [twin.slot_state(slot) for slot in range(num_slots)]
    moments = (torch.stack([state[f"{name}.table"] for state in states]) for name in ("mean", "square"))
    return [one.cpu() for one in kernel], [parameters["table"], *moments]
