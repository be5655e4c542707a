"""Light on a surface: albedo, lit and textureless pictures (DreamFusion 3.2 and A.2)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from dreamfoundry.settings.distillation import ShadingConfig

ALBEDO, LIT, TEXTURELESS = 0, 1, 2
"""The three ways to show a surface; indices so that slots may differ within one tensor."""


def lambertian(
    normals: Float[Tensor, "*S 3"], light_direction: Float[Tensor, "*#S 3"], ambient_ratio: float | Tensor
) -> Float[Tensor, "*S 1"]:
    """Brightness in [0, 1]:  ambient + (1 - ambient) * max(0, n . l)  with unit vectors."""
    diffuse = (normals * light_direction).sum(dim=-1, keepdim=True).clamp(min=0.0)
    return ambient_ratio + (1.0 - ambient_ratio) * diffuse


def sample_lights(
    camera_positions: Float[Tensor, "B 3"], config: ShadingConfig, generator: torch.Generator
) -> Float[Tensor, "B 3"]:
    """Positions of the lights, one near each camera (DreamFusion A.2): in the direction of a draw from
    N(camera position, I), at a distance from the origin that is uniform in `light_distance`.
    """
    low, high = config.light_distance
    towards = normalize(camera_positions + torch.randn(camera_positions.shape, generator=generator), dim=-1)
    distance = low + (high - low) * torch.rand(camera_positions.shape[0], 1, generator=generator)
    return towards * distance


def light_directions(
    lights: Float[Tensor, "*#S 3"], surface: Float[Tensor, "*S 3"], kind: Literal["distant", "point"]
) -> Float[Tensor, "*S 3"]:
    """Unit directions from `surface` points towards their lights; from the origin if they are distant."""
    return normalize(lights - surface if kind == "point" else lights.expand_as(surface), dim=-1)


def draw_shading(config: ShadingConfig, progress: float, generator: torch.Generator) -> int:
    """ALBEDO, LIT or TEXTURELESS for one step of one slot at `progress` in [0, 1].

    Both draws are always made, so that the generator advances alike whatever they decide.
    """
    lit, textureless = torch.rand(2, generator=generator).tolist()
    if progress < config.albedo_only_until_fraction or lit >= config.lit_probability:
        return ALBEDO
    return TEXTURELESS if textureless < config.textureless_probability else LIT
