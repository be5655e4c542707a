"""Triangles to pixels in numpy: what silhouettes, texture bakes and thumbnails share.

One function fills triangles, whatever they stand for: `rasterize` takes corners as (x_px, y_px,
inverse depth). Inverse depth is linear on the screen, so the same arithmetic serves perspective
views (Pineda, "A Parallel Algorithm for Polygon Rasterization", SIGGRAPH 1988; Heckbert and
Moreton, "Interpolation for Polygon Texture Mapping", 1991) and UV charts, where it is constant.

Pixels: x grows to the right, y grows downwards, the centre of pixel (row, column) is at
(column + 0.5, row + 0.5).
Dimension key:  N vertices · F faces · P covered pixels · H rows of a picture · W columns · C channels
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, Integer, UInt8

CANDIDATES_PER_CHUNK = 1 << 21
"""How many (triangle, pixel) pairs are looked at together; bounds the memory to about 300 MB."""

EDGE_TOLERANCE = 1e-9
"""How far outside a barycentric weight may be: no cracks between neighbours."""


@dataclass(frozen=True)
class Fragments:
    """The covered pixels of a square picture, each with the nearest triangle there.

    `pixel` is row * side_px + column, ascending; `weights` are perspective-correct and sum to 1.
    """

    pixel: Int64[np.ndarray, " P"]
    face: Int64[np.ndarray, " P"]
    weights: Float64[np.ndarray, "P 3"]

    def interpolate(
        self, per_vertex: Float[np.ndarray, "N C"], faces: Integer[np.ndarray, "F 3"]
    ) -> Float64[np.ndarray, "P C"]:
        """Values at the covered pixels from values at the vertices."""
        values: np.ndarray = np.einsum("pk,pkc->pc", self.weights, per_vertex[faces[self.face]].astype(np.float64))
        return values


def project(
    points: Float[np.ndarray, "N 3"],
    camera_to_world: Float[np.ndarray, "4 4"],
    fovy_deg: float,
    side_px: int,
) -> Float64[np.ndarray, "N 3"]:
    """World points as (x_px, y_px, inverse depth) in a square picture of a pinhole camera.

    The camera looks along its -Z with +Y up; a point behind it has no positive inverse depth.
    """
    pose = camera_to_world.astype(np.float64)
    local = (points.astype(np.float64) - pose[:3, 3]) @ pose[:3, :3]
    depth = -local[:, 2]
    inverse_depth = np.where(depth > 1e-6, 1.0 / np.maximum(depth, 1e-6), 0.0)
    focal_px = 0.5 * side_px / np.tan(0.5 * np.deg2rad(fovy_deg))
    return np.stack(
        (
            0.5 * side_px + focal_px * local[:, 0] * inverse_depth,
            0.5 * side_px - focal_px * local[:, 1] * inverse_depth,
            inverse_depth,
        ),
        axis=1,
    )


def rasterize(
    points: Float64[np.ndarray, "N 3"],
    faces: Integer[np.ndarray, "F 3"],
    side_px: int,
    *,
    front_only: bool = False,
) -> Fragments:
    """Fill triangles given as (x_px, y_px, inverse depth) per vertex; the nearest one wins.

    `front_only` drops triangles that turn their back (clockwise on the screen). Triangles with
    a corner behind the camera are dropped.
    """
    planes, low_px, extent_px, kept = _set_up(points[faces], side_px, front_only)
    nearest = np.zeros(side_px * side_px)
    face_at = np.full(side_px * side_px, -1, dtype=np.int64)
    weights_at = np.zeros((side_px * side_px, 3))
    inverse_depths = points[faces[kept], 2]
    for start, stop in _chunks(extent_px[:, 0] * extent_px[:, 1]):
        local, pixel, weights = _candidates(planes, low_px, extent_px, start, stop, side_px)
        inverse_depth = np.einsum("pk,pk->p", weights, inverse_depths[local])
        np.maximum.at(nearest, pixel, inverse_depth)
        visible = inverse_depth == nearest[pixel]
        face_at[pixel[visible]] = local[visible]
        weights_at[pixel[visible]] = weights[visible]
    covered = np.flatnonzero(face_at >= 0)
    perspective = weights_at[covered] * inverse_depths[face_at[covered]]
    perspective /= perspective.sum(axis=1, keepdims=True)
    return Fragments(pixel=covered, face=kept[face_at[covered]], weights=perspective)


def num_covering(
    points_px: Float64[np.ndarray, "N 2"], faces: Integer[np.ndarray, "F 3"], side_px: int
) -> Int64[np.ndarray, "H W"]:
    """Number of triangles around each pixel centre; a centre on an edge is in none."""
    flat = np.column_stack((points_px, np.ones(len(points_px))))
    planes, low_px, extent_px, _ = _set_up(flat[faces], side_px, front_only=False)
    times = np.zeros(side_px * side_px, dtype=np.int64)
    for start, stop in _chunks(extent_px[:, 0] * extent_px[:, 1]):
        _, pixel, weights = _candidates(planes, low_px, extent_px, start, stop, side_px)
        times += np.bincount(pixel[weights.min(axis=1) > EDGE_TOLERANCE], minlength=len(times))
    return times.reshape(side_px, side_px)


def silhouette(
    vertices: Float[np.ndarray, "N 3"],
    faces: Integer[np.ndarray, "F 3"],
    camera_to_world: Float[np.ndarray, "4 4"],
    fovy_deg: float,
    side_px: int,
) -> Bool[np.ndarray, "H W"]:
    """Pixels of a square picture that are covered by a closed mesh."""
    points = project(vertices, camera_to_world, fovy_deg, side_px)
    mask = np.zeros(side_px * side_px, dtype=np.bool_)
    mask[rasterize(points, faces, side_px, front_only=True).pixel] = True
    return mask.reshape(side_px, side_px)


def sample_texture(
    texture: UInt8[np.ndarray, "H W C"] | Float32[np.ndarray, "H W C"], uvs: Float[np.ndarray, "P 2"]
) -> Float32[np.ndarray, "P C"]:
    """Bilinear look-up at glTF coordinates (origin at the top left), clamped at the border.

    The bytes of a picture give values in [0, 1], floats their own.
    """
    height, width = texture.shape[:2]
    column = np.clip(uvs[:, 0] * width - 0.5, 0.0, width - 1.0)
    row = np.clip(uvs[:, 1] * height - 0.5, 0.0, height - 1.0)
    left, top = column.astype(np.int64), row.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (column - left)[:, None].astype(np.float32), (row - top)[:, None].astype(np.float32)
    texels = texture.reshape(height * width, -1)
    upper = texels[top * width + left] * (1.0 - across) + texels[top * width + right] * across
    lower = texels[bottom * width + left] * (1.0 - across) + texels[bottom * width + right] * across
    color: np.ndarray = upper * (1.0 - down) + lower * down
    return color / np.float32(255.0) if texture.dtype == np.uint8 else color


def _set_up(
    corners: Float64[np.ndarray, "F 3 3"], side_px: int, front_only: bool
) -> tuple[Float64[np.ndarray, "K 2 3"], Int64[np.ndarray, "K 2"], Int64[np.ndarray, "K 2"], Int64[np.ndarray, " K"]]:
    """Per kept triangle: weight planes (a x + b y + c for corners 0 and 1), first pixel, extent."""
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k, :2].T for k in range(3))
    doubled_area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    low = np.ceil(corners[:, :, :2].min(axis=1) - 0.5).clip(0, side_px).astype(np.int64)
    high = np.floor(corners[:, :, :2].max(axis=1) - 0.5).clip(-1, side_px - 1).astype(np.int64)
    extent = high - low + 1
    # The screen's y points down, so a face wound counterclockwise in space has a negative area.
    facing = doubled_area < 0.0 if front_only else doubled_area != 0.0
    kept = np.flatnonzero(facing & (extent > 0).all(axis=1) & (corners[:, :, 2] > 0.0).all(axis=1))
    first = np.stack((y1 - y2, x2 - x1, x1 * y2 - x2 * y1), axis=1)[kept]
    second = np.stack((y2 - y0, x0 - x2, x2 * y0 - x0 * y2), axis=1)[kept]
    planes = np.stack((first, second), axis=1) / doubled_area[kept, None, None]
    return planes, low[kept], extent[kept], kept


def _chunks(counts: Int64[np.ndarray, " K"]) -> Iterator[tuple[int, int]]:
    """Ranges of triangles whose candidate pixels fit together into one chunk, at least one each."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        base = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + CANDIDATES_PER_CHUNK, side="right")))
        yield start, stop
        start = stop


def _candidates(
    planes: Float64[np.ndarray, "K 2 3"],
    low_px: Int64[np.ndarray, "K 2"],
    extent_px: Int64[np.ndarray, "K 2"],
    start: int,
    stop: int,
    side_px: int,
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float64[np.ndarray, "P 3"]]:
    """The pixels whose centre lies in triangles start..stop: triangle, pixel, screen weights."""
    counts = extent_px[start:stop, 0] * extent_px[start:stop, 1]
    local = np.repeat(np.arange(start, stop), counts)
    order = np.arange(len(local)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(order, extent_px[local, 0])
    row += low_px[local, 1]
    column += low_px[local, 0]
    plane = planes[local]
    first = plane[:, 0, 0] * (column + 0.5) + plane[:, 0, 1] * (row + 0.5) + plane[:, 0, 2]
    second = plane[:, 1, 0] * (column + 0.5) + plane[:, 1, 1] * (row + 0.5) + plane[:, 1, 2]
    third = 1.0 - first - second
    inside = np.minimum(np.minimum(first, second), third) >= -EDGE_TOLERANCE
    weights = np.stack((first[inside], second[inside], third[inside]), axis=1)
    return local[inside], row[inside] * side_px + column[inside], weights
