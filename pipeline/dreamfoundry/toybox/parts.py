"""Solid parts of each kind of toy: exact surfaces, their places and their roles. The front faces +Z.

A part has a role: "main" takes the colour of the caption, the others keep a fixed one, so that a red
car has dark wheels. Lengths are in the units of the kind; `toys.toy` centres and scales them.

Dimension key:  P points
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.toybox import shapes

Role = Literal["main", "white", "dark", "wood"]
ROLES: tuple[Role, ...] = ("main", "white", "dark", "wood")
ROLE_COLORS = {"white": (0.92, 0.92, 0.90), "dark": (0.16, 0.16, 0.18), "wood": (0.55, 0.38, 0.22)}


@dataclass(frozen=True)
class Part:
    """One solid: a shape placed by `offset`, then turned by degrees about x and about z.

    Called with points, it returns their signed distances: negative inside.
    """

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


def _rotation(axis: int, angle_deg: float) -> Tensor:
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    if axis == 0:
        return torch.tensor([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _sphere(radius: float, **place: object) -> Part:
    return Part(lambda p: shapes.sphere(p, radius), **place)  # type: ignore[arg-type]


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


def _pair(part: Callable[[int], Part]) -> tuple[Part, Part]:
    """A part on the left (-1) and its mirror image on the right (+1)."""
    return part(-1), part(1)


PARTS: Mapping[str, tuple[Part, ...]] = MappingProxyType(
    {
        "chair": (
            _box(0.47, 0.08, 0.47),
            _box(0.45, 0.5, 0.07, offset=(0.0, 0.55, -0.4)),
            *_legs(0.38, 0.38, 0.35, -0.38, 0.075, "wood"),
        ),
        "table": (
            _box(0.85, 0.07, 0.6, offset=(0.0, 0.4, 0.0)),
            *_legs(0.72, 0.47, 0.42, -0.05, 0.075, "main"),
        ),
        "sofa": (
            _box(0.9, 0.2, 0.42, 0.05, offset=(0.0, -0.12, 0.0)),
            _box(0.9, 0.35, 0.14, 0.06, offset=(0.0, 0.32, -0.34)),
            _box(0.7, 0.1, 0.36, 0.06, offset=(0.0, 0.12, 0.06), role="white"),
            *_pair(lambda side: _box(0.14, 0.3, 0.42, 0.06, offset=(side * 0.82, 0.05, 0.0))),
        ),
        "mushroom": (
            Part(_half_dome, offset=(0.0, 0.15, 0.0)),
            _cone(0.3, 0.22, 0.42, offset=(0.0, -0.25, 0.0), role="white"),
        ),
        "tree": (
            *(_cone(0.62 - 0.16 * tier, 0.06, 0.32, offset=(0.0, 0.05 + 0.36 * tier, 0.0)) for tier in range(3)),
            _cylinder(0.12, 0.25, offset=(0.0, -0.45, 0.0), role="wood"),
        ),
        "house": (
            _box(0.55, 0.4, 0.62, offset=(0.0, -0.3, 0.0)),
            Part(_roof, offset=(0.0, 0.08, 0.0), role="dark"),
            _box(0.16, 0.25, 0.06, offset=(0.0, -0.45, 0.63), role="white"),
            _box(0.09, 0.3, 0.09, offset=(0.28, 0.5, -0.3), role="wood"),
        ),
        "car": (
            _box(0.42, 0.2, 0.95, 0.08, offset=(0.0, 0.0, 0.0)),
            _box(0.36, 0.2, 0.45, 0.1, offset=(0.0, 0.32, -0.22)),
            *_wheels(0.42, 0.58, -0.18, 0.22),
        ),
        "rocket": (
            _cylinder(0.28, 0.5, offset=(0.0, -0.2, 0.0)),
            _cone(0.28, 0.02, 0.3, offset=(0.0, 0.6, 0.0), role="white"),
            _cylinder(0.3, 0.08, offset=(0.0, -0.1, 0.0), role="white"),
            *_pair(lambda side: _box(0.05, 0.22, 0.2, offset=(0.0, -0.62, side * 0.36))),
            *_pair(lambda side: _box(0.2, 0.22, 0.05, offset=(side * 0.36, -0.62, 0.0))),
        ),
        "mug": (
            Part(_mug_wall),
            _torus(0.26, 0.07, offset=(0.56, 0.0, 0.0), about_x_deg=90.0),
        ),
        "barrel": (
            Part(_barrel_body),
            *_pair(lambda side: _torus(0.56, 0.05, offset=(0.0, side * 0.36, 0.0), role="dark")),
        ),
        "snowman": (
            _sphere(0.48, offset=(0.0, -0.5, 0.0)),
            _sphere(0.34, offset=(0.0, 0.1, 0.0)),
            _sphere(0.24, offset=(0.0, 0.55, 0.0), role="white"),
            _cone(0.08, 0.01, 0.16, offset=(0.0, 0.55, 0.34), role="wood", about_x_deg=-90.0),
            _cylinder(0.16, 0.12, offset=(0.0, 0.85, 0.0), role="dark"),
            _cylinder(0.26, 0.03, offset=(0.0, 0.75, 0.0), role="dark"),
        ),
        "dumbbell": (
            *_pair(lambda side: _sphere(0.36, offset=(side * 0.62, 0.0, 0.0))),
            _cylinder(0.11, 0.55, role="dark", about_z_deg=90.0),
        ),
        "torus": (_torus(0.6, 0.24),),
        "cube": (_box(0.6, 0.6, 0.6, 0.05),),
        "sphere": (_sphere(0.7),),
        "cone": (_cone(0.6, 0.02, 0.7), _cylinder(0.75, 0.05, offset=(0.0, -0.7, 0.0))),
        "cylinder": (_cylinder(0.32, 0.9),),
        "lamp": (
            _cone(0.5, 0.28, 0.3, offset=(0.0, 0.55, 0.0)),
            _cylinder(0.07, 0.6, role="dark"),
            _cylinder(0.36, 0.06, offset=(0.0, -0.6, 0.0), role="dark"),
        ),
    }
)
"""Parts by kind, in units of their own. A point belongs to the first of the parts that are equally near."""
