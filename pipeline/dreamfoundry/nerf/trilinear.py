"""Trilinear reading of feature grids: where a point lies in its cell, and sums of weighted rows.

Dimension key:  K slots · M points · L levels · E table entries · F features per level · C = L F · N bags of 8 lookups
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import embedding_bag

CORNERS = tuple((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1))


class SharedGradient:
    """The gradient of a table that is read several times on one way there and back.

    The first reading on the way back makes it, the others add to it in place: autograd, which would make one
    for each and add them up, gets it once. Only kernels make use of it.
    """

    def __init__(self) -> None:
        self.tensor: Tensor | None = None


def cells(
    points: Float[Tensor, "K M 3"], side: Int[Tensor, " L"], bound: float
) -> tuple[Int[Tensor, "K M 3 L"], Float[Tensor, "K M 3 L"]]:
    """The lowest vertex of the cell that holds each point, and the place within it, on every level.

    `side` is vertices per side over the cube [-bound, bound]^3. The place is in [0, 1], less or
    more where a point outside the cube belongs to the outermost cell. In memory the points come
    last: long runs are faster.
    """
    scale = (side - 1).to(points.dtype) / (2.0 * bound)
    position = ((points.mT.contiguous() + bound).unsqueeze(2) * scale[:, None]).permute(0, 3, 1, 2)
    # A position that is not a number must still name a cell; its weights carry the NaN on.
    low = torch.minimum(position.to(torch.int32).clamp_(min=0), side - 2)
    return low, position - low


def corner_weights(
    place: Float[Tensor, "K M 3 L"], out: Float[Tensor, "K M L 8"] | None = None
) -> Float[Tensor, "K M L 8"]:
    """Weight of each of the CORNERS of a cell at a place within it; written into `out` if it is given."""
    x, y, z = place.unbind(dim=2)
    along_x, along_y, along_z = (1.0 - x, x), (1.0 - y, y), (1.0 - z, z)
    edges = [[along_x[i] * along_y[j] for j in (0, 1)] for i in (0, 1)]
    weights = place.new_empty(*x.shape, 8) if out is None else out
    for (i, j, k), weight in zip(CORNERS, weights.unbind(dim=3), strict=True):
        torch.mul(edges[i][j], along_z[k], out=weight)
    return weights


def weighted_rows(
    table: Float[Tensor, "K E F"], rows: Int[Tensor, "K M L 8"], weights: Float[Tensor, "K M L 8"]
) -> Float[Tensor, "K M C"]:
    """Sums of 8 weighted rows of the stacked table, all levels of a point side by side.

    `rows` count through all slots. Only the table gets a gradient.
    """
    slots, num_points, num_levels = rows.shape[:3]
    bags: Tensor = _WeightedRows.apply(  # type: ignore[no-untyped-call]
        table.flatten(0, 1), rows.view(-1, 8), weights.view(-1, 8)
    )
    return bags.view(slots, num_points, num_levels * table.shape[2])


class _WeightedRows(torch.autograd.Function):
    """Sums of 8 weighted table rows, with a gradient for the table only.

    The forward is `embedding_bag`; its own backward sorts all lookups. On the CPU a sparse
    product with the transposed weights is an order of magnitude faster and adds in a fixed
    order; on CUDA atomic additions are.
    """

    @staticmethod
    def forward(
        ctx: Any, table: Float[Tensor, "E F"], indices: Int[Tensor, "N 8"], weights: Float[Tensor, "N 8"]
    ) -> Float[Tensor, "N F"]:
        ctx.save_for_backward(indices, weights)
        ctx.num_entries = table.shape[0]
        return embedding_bag(indices, table, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Float[Tensor, "N F"]) -> tuple[Float[Tensor, "E F"], None, None]:
        (gradient,) = gradients
        indices, weights = ctx.saved_tensors
        if gradient.device.type == "cpu":
            num_bags = indices.shape[0]
            lookups = csr_matrix(
                (weights.numpy().ravel(), indices.numpy().ravel(), np.arange(num_bags + 1, dtype=np.int32) * 8),
                shape=(num_bags, ctx.num_entries),
            )
            return torch.from_numpy(lookups.T @ gradient.contiguous().numpy()), None, None
        table_gradient = gradient.new_zeros(ctx.num_entries, gradient.shape[1])
        for corner in range(8):
            table_gradient.index_add_(0, indices[:, corner], gradient * weights[:, corner, None])
        return table_gradient, None, None
