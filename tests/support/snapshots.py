"""Field snapshots of known objects: what an optimised field would leave behind, without optimising.

An object is a function from points [P, 3] to (signed distance [P], sRGB colour in [0, 1] [P, 3]).
The reference views are volume-rendered from the same grids, slowly and obviously.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import map_coordinates

from dreamfoundry.asset.pictures.framing import orbit_pose
from dreamfoundry.records import FieldSnapshot

Shape = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

RED = np.array([0.8, 0.1, 0.1])


def ball(radius: float = 0.5, color: np.ndarray = RED) -> Shape:
    return lambda points: (np.linalg.norm(points, axis=1) - radius, np.tile(color, (len(points), 1)))


def torus(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A bumpy ring around the y axis: red where x > 0, green where z > 0, bluer towards the top."""
    x, y, z = points.T
    around = np.arctan2(x, z)
    tube = 0.2 + 0.03 * np.cos(5.0 * around)
    distance = np.hypot(np.hypot(x, z) - 0.5, y) - tube
    color = np.stack((np.where(x > 0, 0.8, 0.2), np.where(z > 0, 0.8, 0.2), 0.5 + y), axis=1)
    return distance, np.clip(color, 0.0, 1.0)


def beacon(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A gray box with a red nose on its front (+Z) and a green arm to its left (+X)."""

    def box(center: tuple[float, float, float], half: tuple[float, float, float]) -> np.ndarray:
        outside = np.abs(points - center) - half
        return np.linalg.norm(np.maximum(outside, 0.0), axis=1) + np.minimum(outside.max(axis=1), 0.0)

    parts = np.stack(
        (
            box((0, 0, 0), (0.3, 0.5, 0.3)),
            box((0, 0.2, 0.4), (0.12, 0.12, 0.2)),
            box((0.45, 0, 0), (0.25, 0.1, 0.1)),
        )
    )
    palette = np.array([[0.5, 0.5, 0.5], [0.9, 0.1, 0.1], [0.1, 0.8, 0.1]])
    return parts.min(axis=0), palette[parts.argmin(axis=0)]


def make_snapshot(
    shape: Shape, *, resolution: int = 40, num_views: int = 6, view_px: int = 32, bound: float = 1.0
) -> FieldSnapshot:
    """`shape` as soft densities on a grid, seen as in `pictured`."""
    axis = np.linspace(-bound, bound, resolution)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    distance, color = shape(points)
    softness = bound / resolution
    density = (80.0 / (1.0 + np.exp(np.clip(distance / softness * 4.0, -50, 50)))).reshape((resolution,) * 3)
    albedo = np.round(color * 255.0).astype(np.uint8).reshape(resolution, resolution, resolution, 3)
    return pictured(density, albedo, num_views=num_views, view_px=view_px, bound=bound)


def pictured(
    density: np.ndarray, albedo: np.ndarray, *, num_views: int = 6, view_px: int = 32, bound: float = 1.0
) -> FieldSnapshot:
    """A field of these grids, seen by cameras on a circle at alternating heights."""
    poses = np.stack(
        [orbit_pose(360.0 * v / num_views, 20.0 if v % 2 else -5.0, 3.2, np.zeros(3)) for v in range(num_views)]
    ).astype(np.float32)
    views = [_view(density, albedo, pose, 40.0, view_px, bound) for pose in poses]
    rgb, opacity, depth = (np.stack(pictures) for pictures in zip(*views, strict=True))
    return FieldSnapshot(
        bound=bound,
        density=density.astype(np.float16),
        albedo=albedo,
        view_rgb=rgb,
        view_opacity=opacity,
        view_depth=depth,
        camera_to_world=poses,
        fovy_deg=np.full(num_views, 40.0, dtype=np.float32),
    )


def _view(
    density: np.ndarray, albedo: np.ndarray, pose: np.ndarray, fovy_deg: float, side_px: int, bound: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Emission and absorption along each ray, front to back (Max, 1995)."""
    resolution, num_samples, near, far = len(density), 96, 1.4, 5.0
    step = (far - near) / num_samples
    centers = (np.arange(side_px) + 0.5) / side_px * 2.0 - 1.0
    tangent = np.tan(np.deg2rad(fovy_deg) / 2.0)
    local = np.array([[(x * tangent, -y * tangent, -1.0) for x in centers] for y in centers])
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    distance = near + (np.arange(num_samples) + 0.5) * step
    points = pose[:3, 3] + distance[:, None] * (local @ pose[:3, :3].T)[:, :, None, :]
    indices = np.moveaxis((points + bound) * (resolution - 1) / (2.0 * bound), -1, 0)
    met = map_coordinates(density, indices, order=1, mode="constant")
    opacity = 1.0 - np.exp(-met * step)
    weights = opacity * np.cumprod(np.concatenate((np.ones_like(met[..., :1]), 1.0 - opacity[..., :-1]), -1), -1)
    voxel = np.clip(np.round(indices), 0, resolution - 1).astype(int)
    rgb = (weights[..., None] * albedo[tuple(voxel)]).sum(axis=2)
    total = weights.sum(axis=-1)
    depth = (weights * distance).sum(axis=-1)
    return rgb.round().astype(np.uint8), (total * 255.0).round().astype(np.uint8), depth.astype(np.float16)
