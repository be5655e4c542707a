"""One optimised slot as plain arrays: all that the export reads.

Dimension key:  R grid vertices per side · V reference views · H pixels per side
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float16, UInt8
from torch import Tensor

from dreamfoundry.nerf.cameras import Cameras, orbit, rays
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.render import render
from dreamfoundry.records import FieldSnapshot
from dreamfoundry.settings.distillation import CameraConfig
from dreamfoundry.settings.field import RenderConfig, SnapshotConfig

POINTS_PER_QUERY = 1 << 16
"""Bounds the memory of one query; larger ones are no faster."""

REFERENCE_ELEVATIONS_DEG = (10.0, 40.0)
"""Reference views alternate between these, once around the object."""

MAX_FLOAT16 = float(np.finfo(np.float16).max)


def take_snapshot(
    fields: RadianceFields,
    slot: int,
    render_config: RenderConfig,
    snapshot_config: SnapshotConfig,
    cameras: CameraConfig,
) -> FieldSnapshot:
    """Sample `slot` on a grid and picture it from around, without randomness.

    The reference cameras have the mean radius and field of view of the training cameras.
    `view_depth` is the distance along the ray, 0 where the view shows nothing.
    """
    one = fields.single(slot)
    with torch.no_grad():
        density, albedo = _sample_grid(one, snapshot_config.grid_resolution)
        views = reference_cameras(cameras, snapshot_config.num_views)
        view_rgb, view_opacity, view_depth = _picture(one, views, render_config, snapshot_config.view_px)
    return FieldSnapshot(
        bound=fields.config.bound,
        density=density,
        albedo=albedo,
        view_rgb=view_rgb,
        view_opacity=view_opacity,
        view_depth=view_depth,
        camera_to_world=views.camera_to_world.numpy(),
        fovy_deg=views.fovy_deg.numpy(),
    )


def reference_cameras(cameras: CameraConfig, num_views: int) -> Cameras:
    """`num_views` cameras at equal azimuths from 0, elevations alternating."""
    indices = torch.arange(num_views)
    return orbit(
        indices * (360.0 / num_views),
        torch.tensor(REFERENCE_ELEVATIONS_DEG)[indices % len(REFERENCE_ELEVATIONS_DEG)],
        torch.full((num_views,), sum(cameras.radius) / 2),
        torch.full((num_views,), sum(cameras.fovy_deg) / 2),
    )


def _sample_grid(
    one: RadianceFields, resolution: int
) -> tuple[Float16[np.ndarray, "R R R"], UInt8[np.ndarray, "R R R 3"]]:
    results = [one.query(points) for points in torch.split(one.grid(resolution), POINTS_PER_QUERY, dim=1)]
    density = torch.cat([part[0] for part in results], dim=1).view(resolution, resolution, resolution)
    albedo = torch.cat([part[1] for part in results], dim=1).view(resolution, resolution, resolution, 3)
    return _float16(density), _uint8(albedo)


def _picture(
    one: RadianceFields, views: Cameras, config: RenderConfig, image_px: int
) -> tuple[UInt8[np.ndarray, "V H H 3"], UInt8[np.ndarray, "V H H"], Float16[np.ndarray, "V H H"]]:
    table = one.parameters()["table"]
    origins, directions = (part.reshape(1, -1, 3).to(table) for part in rays(views, image_px))
    rays_per_query = max(1, POINTS_PER_QUERY // config.samples_per_ray)

    albedo, opacity, depth = [], [], []
    for start in range(0, origins.shape[1], rays_per_query):
        chunk = slice(start, start + rays_per_query)
        middle = torch.full_like(origins[:, chunk, :1], 0.5)
        rendering = render(one, origins[:, chunk], directions[:, chunk], middle, config, with_normals=False)
        albedo.append(rendering.albedo)
        opacity.append(rendering.opacity)
        depth.append(rendering.depth)

    shape = (views.fovy_deg.shape[0], image_px, image_px)
    view_opacity = _uint8(torch.cat(opacity, dim=1).view(shape))
    view_depth = _float16(torch.cat(depth, dim=1).view(shape))
    view_depth[view_opacity == 0] = 0.0
    return _uint8(torch.cat(albedo, dim=1).view(*shape, 3)), view_opacity, view_depth


def _uint8(values: Tensor) -> UInt8[np.ndarray, "*S"]:
    """Shares in [0, 1] as 0 to 255, rounded."""
    return (values * 255.0).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def _float16(values: Tensor) -> Float16[np.ndarray, "*S"]:
    return values.clamp(max=MAX_FLOAT16).to(torch.float16).cpu().numpy()
