"""The toys: each kind as a few solid parts with exact surfaces. The front faces +Z.

A part has a role: "main" takes the colour of the caption, the others have a fixed one, so that a
red car keeps dark wheels. Every toy is centred and scaled into the sphere of TOY_RADIUS.

Dimension key:  P points · M samples of a surface
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.toybox import shapes
from dreamfoundry.toybox.captions import COLORS

Role = Literal["main", "white", "dark", "wood"]
ROLES: tuple[Role, ...] = ("main", "white", "dark", "wood")
ROLE_COLORS = {"white": (0.92, 0.92, 0.90), "dark": (0.16, 0.16, 0.18), "wood": (0.55, 0.38, 0.22)}

TOY_RADIUS = 0.75
"""Radius in scene units of the sphere around the origin that every toy just fits."""

KINDS_WITH_FRONT = ("chair", "sofa", "house", "car", "snowman", "mug")
"""Kinds whose front differs from their back in shape, not only in colour."""


@dataclass(frozen=True)
class Part:
    """One solid: a shape placed by `offset`, then turned by degrees about x and about z."""

    distance: Callable[[Tensor], Tensor]
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    role: Role = "main"
    about_x_deg: float = 0.0
    about_z_deg: float = 0.0

    def __call__(self, points: Float[Tensor, "*P 3"]) -> Float[Tensor, "*P"]:
        local = points - torch.tensor(self.offset)
        for axis, angle_deg in ((0, self.about_x_deg), (2, self.about_z_deg)):
            if angle_deg:
                local = local @ _rotation(axis, angle_deg)
        return self.distance(local)


@dataclass(frozen=True)
class Toy:
    """A kind with its parts, centred and scaled."""

    kind: str
    parts: tuple[Part, ...]
    center: tuple[float, float, float]
    scale: float

    def part_distances(self, points: Float[Tensor, "*P 3"]) -> Float[Tensor, "*P parts"]:
        """Signed distances in scene units to each part."""
        local = points / self.scale + torch.tensor(self.center)
        return torch.stack([part(local) for part in self.parts], dim=-1) * self.scale

    def distance(self, points: Float[Tensor, "*P 3"]) -> Float[Tensor, "*P"]:
        return self.part_distances(points).amin(dim=-1)

    def roles(self, points: Float[Tensor, "*P 3"]) -> Int[Tensor, "*P"]:
        """Index into ROLES of the part nearest to each point."""
        role_of_part = torch.tensor([ROLES.index(part.role) for part in self.parts])
        return role_of_part[self.part_distances(points).argmin(dim=-1)]

    def surface_points(self, num_points: int, seed: int = 0) -> Float[Tensor, "M 3"]:
        """Points spread over the visible surface, found by walking along the distance gradient."""
        generator = torch.Generator().manual_seed(seed)
        points = (2 * torch.rand(num_points * 12, 3, generator=generator) - 1) * TOY_RADIUS * 1.1
        # Cells near the surface first: a thin shell makes the density of points even.
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


def _rotation(axis: int, angle_deg: float) -> Tensor:
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    if axis == 0:
        return torch.tensor([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _sphere(radius: float, **place: object) -> Part:
    return Part(lambda p: shapes.sphere(p, radius), **place)  # type: ignore[arg-type]


def _ellipsoid(x: float, y: float, z: float, **place: object) -> Part:
    return Part(lambda p: shapes.ellipsoid(p, (x, y, z)), **place)  # type: ignore[arg-type]


def _box(x: float, y: float, z: float, rounding: float = 0.02, **place: object) -> Part:
    return Part(lambda p: shapes.box(p, (x, y, z), rounding), **place)  # type: ignore[arg-type]


def _cylinder(radius: float, half_height: float, **place: object) -> Part:
    return Part(lambda p: shapes.cylinder(p, radius, half_height), **place)  # type: ignore[arg-type]


def _cone(bottom: float, top: float, half_height: float, **place: object) -> Part:
    return Part(lambda p: shapes.cone(p, bottom, top, half_height), **place)  # type: ignore[arg-type]


def _torus(radius: float, thickness: float, **place: object) -> Part:
    return Part(lambda p: shapes.torus(p, radius, thickness), **place)  # type: ignore[arg-type]


def _mug_wall(points: Tensor) -> Tensor:
    outer = shapes.cylinder(points, 0.5, 0.55, 0.03)
    hollow = shapes.cylinder(points - torch.tensor([0.0, 0.2, 0.0]), 0.38, 0.6, 0.03)
    return torch.maximum(outer, -hollow)


def _barrel_body(points: Tensor) -> Tensor:
    bulge = shapes.ellipsoid(points, (0.62, 1.15, 0.62))
    return torch.maximum(bulge, points[..., 1].abs() - 0.7)


def _half_dome(points: Tensor) -> Tensor:
    return torch.maximum(shapes.ellipsoid(points, (0.75, 0.6, 0.75)), -points[..., 1])


def _roof(points: Tensor) -> Tensor:
    """A gable roof: a triangular prism along z."""
    slope = math.sqrt(0.5)
    sides = (points[..., 0].abs() * slope + points[..., 1] * slope) - 0.5 * slope - 0.06
    ends = points[..., 2].abs() - 0.68
    return torch.maximum(torch.maximum(sides, ends), -points[..., 1])


def _legs(x: float, z: float, half_height: float, y: float, half_width: float, role: Role) -> list[Part]:
    return [
        _box(half_width, half_height, half_width, offset=(sx * x, y, sz * z), role=role)
        for sx in (-1, 1)
        for sz in (-1, 1)
    ]


def _wheels(x: float, z: float, y: float, radius: float) -> list[Part]:
    return [
        _cylinder(radius, 0.1, offset=(sx * x, y, sz * z), role="dark", about_z_deg=90.0)
        for sx in (-1, 1)
        for sz in (-1, 1)
    ]


def _parts(kind: str) -> list[Part]:
    match kind:
        case "chair":
            back = _box(0.45, 0.5, 0.07, offset=(0.0, 0.55, -0.4))
            return [_box(0.47, 0.08, 0.47), back, *_legs(0.38, 0.38, 0.35, -0.38, 0.075, "wood")]
        case "table":
            return [_box(0.85, 0.07, 0.6, offset=(0.0, 0.4, 0.0)), *_legs(0.72, 0.47, 0.42, -0.05, 0.075, "main")]
        case "sofa":
            arms = [_box(0.14, 0.3, 0.42, 0.06, offset=(sx * 0.82, 0.05, 0.0)) for sx in (-1, 1)]
            cushion = _box(0.7, 0.1, 0.36, 0.06, offset=(0.0, 0.12, 0.06), role="white")
            return [
                _box(0.9, 0.2, 0.42, 0.05, offset=(0.0, -0.12, 0.0)),
                _box(0.9, 0.35, 0.14, 0.06, offset=(0.0, 0.32, -0.34)),
                cushion,
                *arms,
            ]
        case "mushroom":
            cap = Part(_half_dome, offset=(0.0, 0.15, 0.0))
            return [cap, _cone(0.3, 0.22, 0.42, offset=(0.0, -0.25, 0.0), role="white")]
        case "tree":
            tiers = [_cone(0.62 - 0.16 * i, 0.06, 0.32, offset=(0.0, 0.05 + 0.36 * i, 0.0)) for i in range(3)]
            return [*tiers, _cylinder(0.12, 0.25, offset=(0.0, -0.45, 0.0), role="wood")]
        case "house":
            return [
                _box(0.55, 0.4, 0.62, offset=(0.0, -0.3, 0.0)),
                Part(_roof, offset=(0.0, 0.08, 0.0), role="dark"),
                _box(0.16, 0.25, 0.06, offset=(0.0, -0.45, 0.63), role="white"),
                _box(0.09, 0.3, 0.09, offset=(0.28, 0.5, -0.3), role="wood"),
            ]
        case "car":
            return [
                _box(0.42, 0.2, 0.95, 0.08, offset=(0.0, 0.0, 0.0)),
                _box(0.36, 0.2, 0.45, 0.1, offset=(0.0, 0.32, -0.22)),
                *_wheels(0.42, 0.58, -0.18, 0.22),
            ]
        case "rocket":
            fins = [_box(0.05, 0.22, 0.2, offset=(0.0, -0.62, sz * 0.36)) for sz in (-1, 1)]
            fins += [_box(0.2, 0.22, 0.05, offset=(sx * 0.36, -0.62, 0.0)) for sx in (-1, 1)]
            return [
                _cylinder(0.28, 0.5, offset=(0.0, -0.2, 0.0)),
                _cone(0.28, 0.02, 0.3, offset=(0.0, 0.6, 0.0), role="white"),
                _cylinder(0.3, 0.08, offset=(0.0, -0.1, 0.0), role="white"),
                *fins,
            ]
        case "mug":
            handle = _torus(0.26, 0.07, offset=(0.56, 0.0, 0.0), about_x_deg=90.0)
            return [Part(_mug_wall), handle]
        case "barrel":
            hoops = [_torus(0.56, 0.05, offset=(0.0, y, 0.0), role="dark") for y in (-0.36, 0.36)]
            return [Part(_barrel_body), *hoops]
        case "snowman":
            return [
                _sphere(0.48, offset=(0.0, -0.5, 0.0)),
                _sphere(0.34, offset=(0.0, 0.1, 0.0)),
                _sphere(0.24, offset=(0.0, 0.55, 0.0), role="white"),
                _cone(0.08, 0.01, 0.16, offset=(0.0, 0.55, 0.34), role="wood", about_x_deg=-90.0),
                _cylinder(0.16, 0.12, offset=(0.0, 0.85, 0.0), role="dark"),
                _cylinder(0.26, 0.03, offset=(0.0, 0.75, 0.0), role="dark"),
            ]
        case "dumbbell":
            bells = [_sphere(0.36, offset=(sx * 0.62, 0.0, 0.0)) for sx in (-1, 1)]
            return [*bells, _cylinder(0.11, 0.55, role="dark", about_z_deg=90.0)]
        case "torus":
            return [_torus(0.6, 0.24)]
        case "cube":
            return [_box(0.6, 0.6, 0.6, 0.05)]
        case "sphere":
            return [_sphere(0.7)]
        case "cone":
            return [_cone(0.6, 0.02, 0.7), _cylinder(0.75, 0.05, offset=(0.0, -0.7, 0.0))]
        case "cylinder":
            return [_cylinder(0.32, 0.9)]
        case "lamp":
            return [
                _cone(0.5, 0.28, 0.3, offset=(0.0, 0.55, 0.0)),
                _cylinder(0.07, 0.6, role="dark"),
                _cylinder(0.36, 0.06, offset=(0.0, -0.6, 0.0), role="dark"),
            ]
    raise ValueError(f"kind = {kind!r}: no such toy")


@functools.cache
def toy(kind: str) -> Toy:
    """The toy of a kind, measured once: centred on its box and scaled to TOY_RADIUS."""
    raw = Toy(kind, tuple(_parts(kind)), (0.0, 0.0, 0.0), 1.0)
    axis = torch.linspace(-1.3, 1.3, 105)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    solid = grid[raw.distance(grid) < 0.0]
    center = (solid.amin(dim=0) + solid.amax(dim=0)) / 2
    reach = (solid - center).norm(dim=-1).max() + 0.0125
    x, y, z = center.tolist()
    return Toy(kind, raw.parts, (x, y, z), TOY_RADIUS / reach.item())


def role_palette(color: str) -> Float[Tensor, "roles 3"]:
    """Albedo of every role when the caption says `color`."""
    return torch.tensor([COLORS[color], *(ROLE_COLORS[role] for role in ROLES[1:])])
