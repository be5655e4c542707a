"""Sample positions along rays: inside the bounding sphere, with static shapes.

Dimension key:  K slots · R rays per slot · S samples per ray · J 1 (one shift per ray) or S · G cells per side
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

NUM_LOOKUPS = 64
"""Places of a ray at which its occupancy is looked up."""

OCCUPANCY_FLOOR = 0.1
"""Weight of an empty place; a full one has 1 more: something may still grow there."""


@dataclass(frozen=True)
class RaySamples:
    """Samples along rays. The `deltas` of a ray (lengths that the samples stand for, in scene
    units) add up to its chord of the sphere; they are all zero on a ray that misses it."""

    points: Float[Tensor, "K R S 3"]
    distances: Float[Tensor, "K R S"]
    deltas: Float[Tensor, "K R S"]


def sphere_interval(
    origins: Float[Tensor, "K R 3"], directions: Float[Tensor, "K R 3"], radius: float
) -> tuple[Float[Tensor, "K R"], Float[Tensor, "K R"]]:
    """Distances at which rays with unit `directions` enter and leave the sphere at the origin.

    Solves |o + s d| = radius. A ray from inside starts at 0. A ray that misses, or has the sphere
    behind it, has an empty interval at its closest point in front.
    """
    closest = -(origins * directions).sum(dim=-1)
    # The miss distance by subtraction of vectors loses fewer digits than by a discriminant.
    off_axis = (origins + closest.unsqueeze(-1) * directions).square().sum(dim=-1)
    half_chord = (radius**2 - off_axis).clamp(min=0.0).sqrt()
    return (closest - half_chord).clamp(min=0.0), (closest + half_chord).clamp(min=0.0)


def stratified_samples(
    origins: Float[Tensor, "K R 3"],
    directions: Float[Tensor, "K R 3"],
    uniforms: Float[Tensor, "#K #R J"],
    num_samples: int,
    radius: float,
) -> RaySamples:
    """One sample in each of `num_samples` equal bins of a ray's chord.

    `uniforms` in [0, 1) place the samples within their bins: one number per ray shifts all its
    samples alike, one per sample jitters them; 0.5 everywhere is the midpoint rule.
    """
    near, far = sphere_interval(origins, directions, radius)
    width = ((far - near) / num_samples).unsqueeze(-1)
    bins = torch.arange(num_samples, device=origins.device, dtype=origins.dtype)
    distances = near.unsqueeze(-1) + width * (bins + uniforms)
    points = origins.unsqueeze(2) + distances.unsqueeze(3) * directions.unsqueeze(2)
    return RaySamples(points, distances, width.expand_as(distances))


def guided_samples(
    origins: Float[Tensor, "K R 3"],
    directions: Float[Tensor, "K R 3"],
    uniforms: Float[Tensor, "#K #R J"],
    num_samples: int,
    radius: float,
    occupancy: Float[Tensor, "K G G G"],
) -> RaySamples:
    """`num_samples` bins of a ray's chord, narrow where `occupancy` says that there is something.

    A bin holds an equal share of the occupancy along the ray (inverse transform sampling, as the
    fine samples of NeRF, section 5.2), so shapes are static however much is empty. `uniforms` place
    the samples within their bins as in `stratified_samples`, which this is where all cells are alike.
    """
    near, far = sphere_interval(origins, directions, radius)
    bins = torch.arange(NUM_LOOKUPS, device=origins.device, dtype=origins.dtype)
    chord = (far - near).unsqueeze(-1)
    middles = near.unsqueeze(-1) + chord * (bins + 0.5) / NUM_LOOKUPS
    points = origins.unsqueeze(2) + middles.unsqueeze(3) * directions.unsqueeze(2)
    counted = OCCUPANCY_FLOOR + _looked_up(occupancy, points, radius)
    share = torch.nn.functional.pad(counted.cumsum(dim=-1), (1, 0))
    share = share / share[..., -1:]

    ends = torch.arange(num_samples + 1, device=origins.device, dtype=origins.dtype)
    within = (ends[:-1] + uniforms).expand(*near.shape, num_samples)
    edges = near.unsqueeze(-1) + chord * _inverse(share, ends.expand(*near.shape, -1) / num_samples)
    distances = near.unsqueeze(-1) + chord * _inverse(share, within / num_samples)
    points = origins.unsqueeze(2) + distances.unsqueeze(3) * directions.unsqueeze(2)
    return RaySamples(points, distances, edges.diff(dim=-1))


def _looked_up(occupancy: Tensor, points: Float[Tensor, "K R L 3"], radius: float) -> Float[Tensor, "K R L"]:
    """The values of the cells that hold `points` of the cube [-radius, radius]^3."""
    side = occupancy.shape[-1]
    # A place that is not a number must still name a cell.
    cell = ((points / radius + 1.0) * (side / 2.0)).nan_to_num().long().clamp_(0, side - 1)
    index = (cell[..., 0] * side + cell[..., 1]) * side + cell[..., 2]
    return occupancy.flatten(1).gather(1, index.flatten(1)).view(index.shape)


def _inverse(share: Float[Tensor, "K R L1"], target: Float[Tensor, "K R S"]) -> Float[Tensor, "K R S"]:
    """Inverse of the piecewise linear, cumulative `share`: positions on the chord, in [0, 1], where it is `target`."""
    num_bins = share.shape[-1] - 1
    upper = torch.searchsorted(share[..., 1:-1].contiguous(), target.contiguous()) + 1
    low, high = share.gather(-1, upper - 1), share.gather(-1, upper)
    return (upper - 1 + (target - low) / (high - low)) / num_bins
