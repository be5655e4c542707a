"""Stage 4, standing: a flat base that an object does not fall off.

An optimised field knows no floor: feet end at different heights, a ball has one lowest point. Placed by hand such an
object floats, dropped with physics it tips over. It stands where its centre of mass, for a solid of one density,
lies above the convex hull of what touches the ground.

Dimension key:  N points
"""

from __future__ import annotations

import manifold3d
import numpy as np
from jaxtyping import Float64
from scipy.spatial import ConvexHull, QhullError

from dreamfoundry.asset.surface.triangles import signed_volume
from dreamfoundry.records import Surface

CUT_SHARES = tuple(0.005 * step for step in range(1, 9))
"""Heights of the planes that are tried, as shares of the height of the surface."""

SAFE_MARGIN = 0.02
"""Least distance, by the diagonal, of the centre of mass from the edge of the base: it may be pushed a little."""

HOPELESS_SHARE = 0.5
"""A plane is not tried where even an outline that is too large leaves less than this share of the margin: a cut moves
the centre of mass a little, too."""

SNAP_SHARE = 0.001
"""Vertices of a level that are less than this share of the height above the base belong to it."""

KEPT_SHARE = 0.98
"""A cut that leaves less than this share of what is above it in one piece is not made."""

CONTACT_SHARE = 0.02
"""What lies lower than this share of the height counts as touching the ground."""


def with_flat_base(surface: Surface) -> Surface:
    """`surface` cut off at the lowest plane on which it stands with `SAFE_MARGIN`, closed by a cap.

    Where no plane of `CUT_SHARES` does, it is `surface` itself. Heights are along +Y.
    """
    solid = manifold3d.Manifold(manifold3d.Mesh(surface.vertices.copy(), surface.faces.copy()))
    if solid.status() != manifold3d.Error.NoError:
        return surface

    size = np.ptp(surface.vertices.astype(np.float64), axis=0)
    low = float(surface.vertices[:, 1].min())
    # the outline of a cut lies within the hull of everything below the upper ends of the edges that it meets
    reach = float(np.ptp(surface.vertices[surface.faces, 1].astype(np.float64), axis=1).max()) / size[1]
    for share in CUT_SHARES:
        if support_margin(surface, share + reach) < HOPELESS_SHARE * SAFE_MARGIN:
            continue
        cut = _cut(solid, low + share * float(size[1]))
        if cut is not None and support_margin(cut, 0.0) >= SAFE_MARGIN:
            return cut
    return surface


def grounded(level: Surface, surface: Surface) -> Surface:
    """`level` with its lowest vertices at the height of the lowest of `surface`, which it was decimated from; a base
    becomes as flat.

    Collapses move what touches the ground up and down by their error, and levels that end at different heights float
    or sink when they are switched.
    """
    ground = surface.vertices[:, 1].min()
    snap = np.float32(SNAP_SHARE * np.ptp(surface.vertices[:, 1]))
    vertices = level.vertices.copy()
    lowest = max(ground + snap, vertices[:, 1].min())
    vertices[vertices[:, 1] <= lowest, 1] = ground
    if len(np.unique(vertices, axis=0)) < len(vertices):  # readers of a file would weld what now coincides
        return level
    return Surface(vertices, level.faces)


def _cut(solid: manifold3d.Manifold, height: float) -> Surface | None:
    """The part above a height as one closed surface; None where that falls into pieces."""
    above = solid.trim_by_plane((0.0, 1.0, 0.0), height)
    parts = above.decompose()
    if not parts:
        return None
    body = max(parts, key=lambda part: float(part.volume()))
    if body.volume() < KEPT_SHARE * above.volume():
        return None

    triangles = body.to_mesh()
    vertices = np.array(triangles.vert_properties, dtype=np.float32)[:, :3]
    # rounding must not leave a base that is flat but for the last digit
    vertices[:, 1] = np.maximum(vertices[:, 1], np.float32(height))
    return Surface(np.ascontiguousarray(vertices), np.array(triangles.tri_verts, dtype=np.uint32))


def support_margin(surface: Surface, contact_share: float = CONTACT_SHARE) -> float:
    """Distance of the centre of mass from the edge of the support, seen from above, by the diagonal of `surface`.

    Positive where it lies above the support, the convex hull of all vertices lower than `contact_share` of the
    height; negative where the object falls over.
    """
    vertices = surface.vertices.astype(np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    on_ground = vertices[vertices[:, 1] <= low[1] + contact_share * (high[1] - low[1])][:, [0, 2]]
    center = center_of_mass(surface)[[0, 2]]
    return _inside(center, on_ground) / float(np.linalg.norm(high - low))


def center_of_mass(surface: Surface) -> Float64[np.ndarray, " 3"]:
    """Centre of mass of the solid that a closed surface encloses, by the divergence theorem."""
    corners = surface.vertices.astype(np.float64)[surface.faces]
    volumes = np.einsum("fk,fk->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0
    center: np.ndarray = (volumes[:, None] * corners.sum(axis=1)).sum(axis=0) / (4.0 * signed_volume(corners))
    return center


def _inside(point: Float64[np.ndarray, " 2"], points: Float64[np.ndarray, "N 2"]) -> float:
    """Distance of a point from the edge of the convex hull of points; outside, and of points on a line, negative."""
    try:
        edges = ConvexHull(points).equations
    except (QhullError, ValueError):  # fewer than three, or all on a line
        return -float(np.linalg.norm(points - point, axis=1).min())
    return -float((edges[:, :2] @ point + edges[:, 2]).max())
