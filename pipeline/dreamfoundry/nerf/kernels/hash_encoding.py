"""Hash encoding on CUDA: twin of `hash_grid.HashGrid`.

A program reads a block of points on one level of one slot. Levels stand behind blocks in the order
of programs, so that a level's rows stay in the cache while it is read. The backward pass adds with
atomics, in no fixed order: gradients differ in their last bits from run to run.

Dimension key:  K slots · M points · L levels · E table entries · F features per level · C = L F
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.nerf.kernels.launch import launch
from dreamfoundry.nerf.trilinear import SharedGradient

POINTS_PER_PROGRAM = 256


def hash_encoding(
    table: Float[Tensor, "K E F"],
    points: Float[Tensor, "K M 3"],
    levels: Int[Tensor, "L 3"],
    entries_per_level: int,
    bound: float,
    shared: SharedGradient | None = None,
) -> Float[Tensor, "K M C"]:
    """Features at `points`; `levels` as in `HashGrid`. Only the table gets a gradient, `shared` if that is given."""
    features: Tensor = _HashEncoding.apply(  # type: ignore[no-untyped-call]
        table, points.detach(), levels, entries_per_level, bound, shared
    )
    return features


class _HashEncoding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        points: Tensor,
        levels: Tensor,
        entries_per_level: int,
        bound: float,
        shared: SharedGradient | None,
    ) -> Tensor:
        points = points.contiguous()
        ctx.save_for_backward(points, levels)
        ctx.table_shape, ctx.grid, ctx.shared = table.shape, (entries_per_level, bound), shared
        features = table.new_empty(*points.shape[:2], len(levels) * table.shape[2])
        _launch(_forward, table.contiguous(), features, points, levels, entries_per_level, bound)
        return features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None, None, None, None]:
        points, levels = ctx.saved_tensors
        shared = ctx.shared or SharedGradient()
        earlier = shared.tensor
        table_gradient = points.new_zeros(ctx.table_shape) if earlier is None else earlier
        _launch(_backward, table_gradient, gradients[0].contiguous(), points, levels, *ctx.grid)
        shared.tensor = table_gradient
        return table_gradient if earlier is None else None, None, None, None, None, None


def _launch(
    kernel: Any, table: Tensor, features: Tensor, points: Tensor, levels: Tensor, entries_per_level: int, bound: float
) -> None:
    slots, num_points = points.shape[:2]
    num_entries, num_features = table.shape[1:]
    grid = (triton.cdiv(num_points, POINTS_PER_PROGRAM), len(levels), slots)
    launch(
        kernel,
        grid,
        table,
        features,
        points,
        levels,
        num_points,
        num_entries,
        HASH_MASK=entries_per_level - 1,
        BOUND=bound,
        NUM_LEVELS=len(levels),
        NUM_FEATURES=num_features,
        FEATURES=triton.next_power_of_2(num_features),
        POINTS=POINTS_PER_PROGRAM,
    )


@triton.jit
@no_type_check
def _forward(
    table,
    features,
    points,
    levels,
    num_points,
    num_entries,
    HASH_MASK: tl.constexpr,
    BOUND: tl.constexpr,
    NUM_LEVELS: tl.constexpr,
    NUM_FEATURES: tl.constexpr,
    FEATURES: tl.constexpr,
    POINTS: tl.constexpr,
):
    level, slot = tl.program_id(1), tl.program_id(2).to(tl.int64)
    point = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    feature = tl.arange(0, FEATURES)
    is_point, is_feature = point < num_points, feature < NUM_FEATURES
    is_value = is_point[:, None] & is_feature[None, :]

    cell = _cell(points + (slot * num_points + point) * 3, is_point, levels + level * 3, BOUND)

    total = tl.zeros((POINTS, FEATURES), dtype=table.dtype.element_ty)
    for i in tl.static_range(2):
        for j in tl.static_range(2):
            for k in tl.static_range(2):
                row, weight = _corner(cell, i, j, k, HASH_MASK)
                at = (slot * num_entries + row)[:, None] * NUM_FEATURES + feature[None, :]
                total += weight[:, None] * tl.load(table + at, mask=is_value, other=0.0)
    at = ((slot * num_points + point) * NUM_LEVELS + level)[:, None] * NUM_FEATURES + feature[None, :]
    tl.store(features + at, total, mask=is_value)


@triton.jit
@no_type_check
def _backward(
    table_gradient,
    gradient,
    points,
    levels,
    num_points,
    num_entries,
    HASH_MASK: tl.constexpr,
    BOUND: tl.constexpr,
    NUM_LEVELS: tl.constexpr,
    NUM_FEATURES: tl.constexpr,
    FEATURES: tl.constexpr,
    POINTS: tl.constexpr,
):
    level, slot = tl.program_id(1), tl.program_id(2).to(tl.int64)
    point = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    feature = tl.arange(0, FEATURES)
    is_point, is_feature = point < num_points, feature < NUM_FEATURES
    is_value = is_point[:, None] & is_feature[None, :]

    cell = _cell(points + (slot * num_points + point) * 3, is_point, levels + level * 3, BOUND)

    at = ((slot * num_points + point) * NUM_LEVELS + level)[:, None] * NUM_FEATURES + feature[None, :]
    incoming = tl.load(gradient + at, mask=is_value, other=0.0)
    for i in tl.static_range(2):
        for j in tl.static_range(2):
            for k in tl.static_range(2):
                row, weight = _corner(cell, i, j, k, HASH_MASK)
                at = (slot * num_entries + row)[:, None] * NUM_FEATURES + feature[None, :]
                tl.atomic_add(table_gradient + at, weight[:, None] * incoming, mask=is_value, sem="relaxed")


@triton.jit
@no_type_check
def _cell(coordinates, is_point, level, BOUND: tl.constexpr):
    """Parts of the corners of a cell: its lowest vertex and the place within it, axis by axis, and its level.

    `level` points to a line of `levels`.
    """
    side, level_start, is_hashed = tl.load(level), tl.load(level + 1), tl.load(level + 2) != 0
    x, place_x = _along_axis(coordinates, is_point, side, BOUND)
    y, place_y = _along_axis(coordinates + 1, is_point, side, BOUND)
    z, place_z = _along_axis(coordinates + 2, is_point, side, BOUND)
    return x, y, z, place_x, place_y, place_z, side, level_start, is_hashed


@triton.jit
@no_type_check
def _corner(cell, i: tl.constexpr, j: tl.constexpr, k: tl.constexpr, HASH_MASK: tl.constexpr):
    """Row in the table of a slot, and trilinear weight, of the corner at the ends i, j, k of a cell."""
    x, y, z, place_x, place_y, place_z, side, level_start, is_hashed = cell
    row = level_start + _row(x + i, y + j, z + k, side, is_hashed, HASH_MASK)
    return row, _along(place_x, i) * _along(place_y, j) * _along(place_z, k)


@triton.jit
@no_type_check
def _along_axis(coordinates, is_point, side, BOUND: tl.constexpr):
    """Lowest vertex of the cell along one axis, and the place within it; NaN has a cell, and a place of NaN."""
    coordinate = tl.load(coordinates, mask=is_point, other=0.0)
    position = (coordinate + BOUND) * ((side - 1).to(coordinate.dtype) / (2.0 * BOUND))
    last = (side - 2).to(coordinate.dtype)
    low = tl.where(position > 0.0, tl.where(position < last, position, last), 0.0).to(tl.int32)
    return low, position - low


@triton.jit
@no_type_check
def _along(place, END: tl.constexpr):
    if END == 1:
        return place
    else:
        return 1.0 - place


@triton.jit
@no_type_check
def _row(x, y, z, side, is_hashed, HASH_MASK: tl.constexpr):
    """Row of a vertex within its level. Products keep their low bits, which are all that the mask lets through."""
    hashed = (x ^ (y * -1640531535) ^ (z * 805459861)) & HASH_MASK  # 2654435761 as 32 bits with a sign
    dense = (x * side + y) * side + z
    return tl.where(is_hashed, hashed, dense)
