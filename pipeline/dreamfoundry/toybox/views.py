"""Pictures of toys: geometry traced once per view, then coloured and lit in many ways.

Dimension key:  B views · H pixels per side of a picture · P = 2 H per side of its buffers
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d

from dreamfoundry.nerf.cameras import Cameras, rays
from dreamfoundry.nerf.shading import lambertian
from dreamfoundry.toybox.toys import TOY_RADIUS, Toy

NO_ROLE = 255
"""Role index of a pixel that shows only background."""


@dataclass(frozen=True)
class ViewBuffers:
    """Role and normal (times 127) of every pixel of a traced toy, without colour or light."""

    roles: UInt8[Tensor, "B P P"]
    normals: Int8[Tensor, "B P P 3"]

    def to(self, device: torch.device) -> ViewBuffers:
        """The same on `device`."""
        return ViewBuffers(self.roles.to(device), self.normals.to(device))


def trace(toy: Toy, cameras: Cameras, picture_px: int, max_steps: int = 48) -> ViewBuffers:
    """Sphere-trace a toy (Hart 1996) at twice the picture's resolution, for antialiasing by `shade`."""
    size = 2 * picture_px

    # start where a ray enters the sphere around the toy, and leave out the rays that miss it
    origins, directions = (grid.reshape(-1, 3) for grid in rays(cameras, size))
    along = (origins * directions).sum(dim=-1)
    reach = along**2 - (origins**2).sum(dim=-1) + (1.05 * TOY_RADIUS) ** 2
    alive = torch.nonzero(reach > 0).squeeze(1)
    depth = -along[alive] - reach[alive].sqrt()
    limit = -along[alive] + reach[alive].sqrt()

    roles = torch.full((len(origins),), NO_ROLE, dtype=torch.uint8)
    normals = torch.zeros(len(origins), 3, dtype=torch.int8)
    for _ in range(max_steps):
        points = origins[alive] + depth[:, None] * directions[alive]
        distance = toy.distance(points)
        hit = distance < 1.5e-3
        if hit.any():
            pixels, at = alive[hit], points[hit]
            roles[pixels] = toy.roles(at).to(torch.uint8)
            normals[pixels] = (toy.normals(at) * 127).round().to(torch.int8)

        depth = depth + distance
        keep = ~hit & (depth < limit)
        alive, depth, limit = alive[keep], depth[keep], limit[keep]
        if len(alive) == 0:
            break

    shape = (len(cameras.fovy_deg), size, size)
    return ViewBuffers(roles.reshape(shape), normals.reshape(*shape, 3))


def shade(
    buffers: ViewBuffers,
    palettes: Float[Tensor, "B roles 3"],
    light_directions: Float[Tensor, "B 3"],
    ambient_ratio: Float[Tensor, " B"],
    backgrounds: Float[Tensor, " B"],
) -> Float[Tensor, "B 3 H H"]:
    """Pictures in [0, 1]: albedo times light over a plain grey level, halved in size.

    An ambient ratio of 1 gives the albedo picture; a palette of ones the textureless one.
    """
    covered = buffers.roles != NO_ROLE
    index = buffers.roles.where(covered, 0).long()
    albedo = palettes[torch.arange(len(palettes), device=index.device)[:, None, None], index]
    normals = buffers.normals.float() / 127.0
    brightness = lambertian(normals, light_directions[:, None, None, :], ambient_ratio[:, None, None, None])
    picture = torch.where(covered[..., None], albedo * brightness, backgrounds[:, None, None, None])
    return avg_pool2d(picture.permute(0, 3, 1, 2), 2)
