"""Cameras on an orbit and the rays through their pixels.

The world is glTF's: right-handed, +Y up, the front of an object faces +Z. `azimuth_deg` 0 stands
on +Z and grows towards +X; a camera looks along its own -Z.

Dimension key:  B cameras · H pixels per side
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from dreamfoundry.settings.distillation import CameraConfig


@dataclass(frozen=True)
class Cameras:
    """B pinhole cameras with square pictures; angles are those of the orbit without jitter."""

    camera_to_world: Float[Tensor, "B 4 4"]
    fovy_deg: Float[Tensor, " B"]
    azimuth_deg: Float[Tensor, " B"]
    elevation_deg: Float[Tensor, " B"]

    @property
    def positions(self) -> Float[Tensor, "B 3"]:
        return self.camera_to_world[:, :3, 3]


def orbit(
    azimuth_deg: Float[Tensor, " B"],
    elevation_deg: Float[Tensor, " B"],
    radius: Float[Tensor, " B"],
    fovy_deg: Float[Tensor, " B"],
) -> Cameras:
    """Cameras at (r cos e sin a, r sin e, r cos e cos a) that look at the origin, +Y up."""
    pose = look_at(orbit_positions(azimuth_deg, elevation_deg, radius), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))
    return Cameras(pose, fovy_deg, azimuth_deg, elevation_deg)


def orbit_positions(
    azimuth_deg: Float[Tensor, " B"], elevation_deg: Float[Tensor, " B"], radius: Float[Tensor, " B"]
) -> Float[Tensor, "B 3"]:
    azimuth, elevation = torch.deg2rad(azimuth_deg), torch.deg2rad(elevation_deg)
    ground = radius * torch.cos(elevation)
    return torch.stack(
        [ground * torch.sin(azimuth), radius * torch.sin(elevation), ground * torch.cos(azimuth)], dim=-1
    )


def look_at(
    positions: Float[Tensor, "B 3"], targets: Float[Tensor, "*#B 3"], ups: Float[Tensor, "*#B 3"]
) -> Float[Tensor, "B 4 4"]:
    """Poses at `positions` whose -Z points at `targets`; straight down, +X stays to the right."""
    backward = normalize(positions - targets, dim=-1)
    right = torch.linalg.cross(ups.expand_as(backward), backward)
    # looking along the up axis leaves "right" undefined; +X is what the orbit tends to there.
    vertical = right.norm(dim=-1, keepdim=True) < 1e-4
    right = normalize(torch.where(vertical, torch.tensor([1.0, 0.0, 0.0]), right), dim=-1)
    up = torch.linalg.cross(backward, right)
    pose = torch.eye(4).repeat(positions.shape[0], 1, 1)
    pose[:, :3, :] = torch.stack([right, up, backward, positions], dim=-1)
    return pose


def sample_cameras(config: CameraConfig, num_views: int, generator: torch.Generator) -> Cameras:
    """Training cameras of one step (DreamFusion A.2), azimuths stratified over the views.

    The elevation is uniform in area with `uniform_area_probability`, else uniform in angle,
    which favours the poles. Position, target and up vector get DreamFusion's jitter.
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(num_views, generator=generator)

    # strata: with few views per step, independent azimuths would often leave a side unseen
    offset = torch.rand(1, generator=generator)
    strata = torch.arange(num_views) + torch.rand(num_views, generator=generator)
    azimuth_deg = (360.0 * (strata / num_views + offset)) % 360.0 - 180.0

    # both elevations are drawn for every view, so that the generator advances alike
    low_deg, high_deg = config.elevation_deg
    by_angle_deg = uniform(low_deg, high_deg)
    by_area_deg = torch.rad2deg(torch.asin(uniform(math.sin(math.radians(low_deg)), math.sin(math.radians(high_deg)))))
    use_area = torch.rand(num_views, generator=generator) < config.uniform_area_probability
    elevation_deg = torch.where(use_area, by_area_deg, by_angle_deg)

    positions = orbit_positions(azimuth_deg, elevation_deg, uniform(*config.radius))
    positions = positions + config.position_jitter * (2 * torch.rand(num_views, 3, generator=generator) - 1)
    targets = config.look_at_jitter * torch.randn(num_views, 3, generator=generator)
    ups = torch.tensor([0.0, 1.0, 0.0]) + config.up_jitter * torch.randn(num_views, 3, generator=generator)

    if config.fovy_uniform_in == "degrees":
        fovy_deg = uniform(*config.fovy_deg)
    else:
        focal_of_low, focal_of_high = (0.5 / math.tan(math.radians(fovy / 2.0)) for fovy in config.fovy_deg)
        fovy_deg = 2.0 * torch.rad2deg(torch.atan(0.5 / uniform(focal_of_high, focal_of_low)))
    return Cameras(look_at(positions, targets, ups), fovy_deg, azimuth_deg, elevation_deg)


def rays(cameras: Cameras, image_px: int) -> tuple[Float[Tensor, "B H H 3"], Float[Tensor, "B H H 3"]]:
    """Origins and unit directions through the pixel centres, first row at the top."""
    half = torch.tan(torch.deg2rad(cameras.fovy_deg) / 2)
    offsets = (torch.arange(image_px) + 0.5) / image_px * 2 - 1
    y, x = torch.meshgrid(-offsets, offsets, indexing="ij")
    local = torch.stack([x, y, -torch.ones_like(x)], dim=-1)
    scale = torch.stack([half, half, torch.ones_like(half)], dim=-1)
    directions = torch.einsum("bij,hwj,bj->bhwi", cameras.camera_to_world[:, :3, :3], local, scale)
    return cameras.positions[:, None, None, :].expand_as(directions), normalize(directions, dim=-1)
