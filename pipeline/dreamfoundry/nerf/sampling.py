"""Where along a ray the fields are asked: inside the bounding sphere, with static shapes.

Dimension key:  K slots · R rays per slot · S samples per ray · J 1 (one shift per ray) or S
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


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
