"""Signed-distance primitives: negative inside, positive outside, exact or a lower bound.

Every function takes points [..., 3] in the frame of the shape and returns distances [...].
Formulas are the usual ones of constructive solid geometry (Hart 1996, sphere tracing).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "*P 3"]
Distances = Float[Tensor, "*P"]


def sphere(points: Points, radius: float) -> Distances:
    result: Tensor = points.norm(dim=-1) - radius
    return result


def ellipsoid(points: Points, radii: tuple[float, float, float]) -> Distances:
    """A bound that is exact to first order at the surface."""
    scale = torch.tensor(radii)
    unit = (points / scale).norm(dim=-1)
    gradient = (points / scale**2).norm(dim=-1).clamp(min=1e-6)
    result: Tensor = unit * (unit - 1.0) / gradient
    return result


def box(points: Points, half: tuple[float, float, float], rounding: float = 0.02) -> Distances:
    """A box with half sides `half`, its edges rounded by `rounding`."""
    outside = points.abs() - (torch.tensor(half) - rounding)
    return _corner_distance(outside) - rounding


def cylinder(points: Points, radius: float, half_height: float, rounding: float = 0.01) -> Distances:
    """A capped cylinder along y."""
    radial = points[..., [0, 2]].norm(dim=-1) - radius + rounding
    axial = points[..., 1].abs() - half_height + rounding
    outside = torch.stack([radial, axial], dim=-1)
    return _corner_distance(outside) - rounding


def cone(points: Points, bottom_radius: float, top_radius: float, half_height: float) -> Distances:
    """A capped cone (frustum) along y."""
    q = torch.stack([points[..., [0, 2]].norm(dim=-1), points[..., 1]], dim=-1)
    rim = torch.tensor([top_radius, half_height])
    slope = torch.tensor([top_radius - bottom_radius, 2 * half_height])
    cap_radius = torch.where(q[..., 1] < 0, bottom_radius, top_radius)
    to_cap = torch.stack([q[..., 0] - torch.minimum(q[..., 0], cap_radius), q[..., 1].abs() - half_height], dim=-1)
    share = (((rim - q) * slope).sum(dim=-1) / (slope * slope).sum()).clamp(0.0, 1.0)
    to_side = q - rim + slope * share[..., None]
    inside = (to_side[..., 0] < 0) & (to_cap[..., 1] < 0)
    nearest = torch.minimum((to_cap**2).sum(dim=-1), (to_side**2).sum(dim=-1)).sqrt()
    return torch.where(inside, -nearest, nearest)


def torus(points: Points, radius: float, thickness: float) -> Distances:
    """A ring around y."""
    ring = points[..., [0, 2]].norm(dim=-1) - radius
    result: Tensor = torch.stack([ring, points[..., 1]], dim=-1).norm(dim=-1) - thickness
    return result


def _corner_distance(outside: Tensor) -> Tensor:
    """Distance to a box-like corner from the excess [..., axes] over each side."""
    result: Tensor = outside.clamp(min=0.0).norm(dim=-1) + outside.amax(dim=-1).clamp(max=0.0)
    return result
