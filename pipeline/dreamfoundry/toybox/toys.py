"""The toys: parts of a kind, centred and scaled into the sphere of TOY_RADIUS. The front faces +Z.

Dimension key:  P points · M samples of a surface
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.toybox.captions import COLORS
from dreamfoundry.toybox.parts import PARTS, ROLE_COLORS, ROLES, Part

TOY_RADIUS = 0.75
"""Radius in scene units of the sphere around the origin that every toy just fits."""

KINDS_WITH_FRONT = ("chair", "sofa", "house", "car", "snowman", "mug")
"""Kinds whose front differs from their back in shape, not only in colour."""


@dataclass(frozen=True)
class Toy:
    """Parts of one kind with the centre (units of the kind) and the scale that bring them into the scene."""

    kind: str
    parts: tuple[Part, ...]
    center: tuple[float, float, float]
    scale: float

    def part_distances(self, points: Float[Tensor, "*P 3"]) -> Float[Tensor, "*P parts"]:
        """Signed distances in scene units to each part."""
        local = points / self.scale + torch.tensor(self.center)
        return torch.stack([part(local) for part in self.parts], dim=-1) * self.scale

    def distance(self, points: Float[Tensor, "*P 3"]) -> Float[Tensor, "*P"]:
        """Signed distance in scene units to the whole toy: negative inside."""
        return self.part_distances(points).amin(dim=-1)

    def roles(self, points: Float[Tensor, "*P 3"]) -> Int[Tensor, "*P"]:
        """Index into ROLES of the part nearest to each point."""
        role_of_part = torch.tensor([ROLES.index(part.role) for part in self.parts])
        return role_of_part[self.part_distances(points).argmin(dim=-1)]

    def surface_points(self, num_points: int, seed: int = 0) -> Float[Tensor, "M 3"]:
        """Points spread evenly over the outer surface, projected onto it along the distance gradient."""
        generator = torch.Generator().manual_seed(seed)
        points = (2 * torch.rand(num_points * 12, 3, generator=generator) - 1) * TOY_RADIUS * 1.1

        # points far away would gather on edges: a thin shell keeps the density even
        points = points[self.distance(points).abs() < 0.12]
        for _ in range(6):
            points = points - self.distance(points)[:, None] * self.normals(points)
        points = points[self.distance(points).abs() < 2e-3]

        chosen = torch.randperm(len(points), generator=generator)[:num_points]
        return points[chosen]

    def normals(self, points: Float[Tensor, "P 3"]) -> Float[Tensor, "P 3"]:
        """Unit outward normals by central differences of the distance."""
        step = 1e-3
        offsets = torch.eye(3) * step
        around = torch.cat([points[:, None] + offsets, points[:, None] - offsets], dim=1)
        plus, minus = self.distance(around).chunk(2, dim=1)
        return torch.nn.functional.normalize(plus - minus, dim=-1)


@functools.cache
def toy(kind: str) -> Toy:
    """The toy of a kind, centred on its bounding box and scaled to TOY_RADIUS; measured once per process.

    ValueError for a kind that has no parts.
    """
    if kind not in PARTS:
        raise ValueError(f"kind = {kind!r}: no such toy")
    raw = Toy(kind, PARTS[kind], (0.0, 0.0, 0.0), 1.0)

    # bounds come from a grid: parts overlap, and their distances have no box in closed form.
    axis = torch.linspace(-1.3, 1.3, 105)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    solid = grid[raw.distance(grid) < 0.0]
    center = (solid.amin(dim=0) + solid.amax(dim=0)) / 2
    half_cell = 0.0125
    reach = (solid - center).norm(dim=-1).max() + half_cell

    x, y, z = center.tolist()
    return Toy(kind, raw.parts, (x, y, z), TOY_RADIUS / reach.item())


def role_palette(color: str) -> Float[Tensor, "roles 3"]:
    """Albedo of every role when the caption says `color`."""
    return torch.tensor([COLORS[color], *(ROLE_COLORS[role] for role in ROLES[1:])])
