"""Stage 4, levels of detail: fewer triangles, still closed.

Edge collapse by quadric error (Garland and Heckbert, SIGGRAPH 1997; fast-simplification), then a
pass through manifold3d, which restores a manifold where collapses pinched the surface.
"""

from __future__ import annotations

from collections.abc import Sequence

import fast_simplification
import manifold3d
import numpy as np

from dreamfoundry.asset.surface.triangles import is_closed
from dreamfoundry.errors import SurfaceFailed
from dreamfoundry.records import Surface

TRIES = ((1.0, 7), (0.97, 5), (0.9, 7), (0.8, 7))
"""(share of the budget to aim at, aggressiveness), until one gives a manifold within the budget."""

STEP_SHARE = 0.75
"""A level has at most this share of the triangles of the level before it."""

SMALLEST_LEVEL = 12

PINCH_SHARE = 0.02
"""How far a pinched vertex moves towards the middle of the faces around it."""


def levels(surface: Surface, budgets: Sequence[int]) -> list[Surface]:
    """One closed surface per budget of triangles, each with fewer triangles than the one before.

    Raises SurfaceFailed when a level cannot be made.
    """
    made: list[Surface] = []
    for budget in budgets:
        limit = budget if not made else min(budget, int(STEP_SHARE * len(made[-1].faces)))
        made.append(decimate(surface, limit))
    return made


def decimate(surface: Surface, max_triangles: int) -> Surface:
    """`surface` with at most `max_triangles` triangles, closed and in one piece."""
    if len(surface.faces) <= max_triangles and _is_closed_as_file(surface):
        return surface
    if max_triangles < SMALLEST_LEVEL:
        raise SurfaceFailed(
            f"max_triangles = {max_triangles}: a level needs at least {SMALLEST_LEVEL}; the surface is too small "
            "for so many levels, or has fallen apart in the level before"
        )

    reached = "nothing"
    for share, aggressiveness in TRIES:
        target = min(int(share * max_triangles), int(share * len(surface.faces)))
        vertices, faces = fast_simplification.simplify(
            surface.vertices, surface.faces.astype(np.int32), target_count=target, agg=aggressiveness
        )[:2]

        # collapses may pinch the surface; manifold3d splits it there, and the largest part stays
        solid = manifold3d.Manifold(manifold3d.Mesh(vertices.astype(np.float32), faces.astype(np.uint32)))
        if solid.status() != manifold3d.Error.NoError or solid.is_empty():
            reached = f"a mesh with status {solid.status().name}"
            continue
        body = max(solid.decompose(), key=lambda part: float(part.surface_area())).to_mesh()
        level = _separated(np.array(body.vert_properties)[:, :3], np.array(body.tri_verts))

        if len(level.faces) > max_triangles:
            reached = f"{len(level.faces)} triangles"
        elif not _is_closed_as_file(level):
            reached = f"{len(level.faces)} triangles that touch one another"
        else:
            return level
    raise SurfaceFailed(f"max_triangles = {max_triangles}: decimation reached {reached}, no manifold within the budget")


def _separated(vertices: np.ndarray, faces: np.ndarray) -> Surface:
    """The surface with every position occurring once.

    Where a collapse pinched it, the manifold has several vertices at one place, which a reader
    of the file would weld back into a non-manifold one. Each moves a little into its own sheet.
    """
    _, index, copies = np.unique(vertices, axis=0, return_inverse=True, return_counts=True)
    pinched = np.flatnonzero(copies[index.reshape(-1)] > 1)
    if len(pinched):
        around = np.zeros((len(vertices), 3))
        count = np.zeros((len(vertices), 1))
        for k in range(3):
            np.add.at(around, faces[:, k], vertices[faces].mean(axis=1))
            np.add.at(count, faces[:, k], 1.0)
        target = around[pinched] / count[pinched]
        vertices[pinched] += (PINCH_SHARE * (target - vertices[pinched])).astype(vertices.dtype)
    return Surface(
        vertices=np.ascontiguousarray(vertices, dtype=np.float32), faces=np.ascontiguousarray(faces, dtype=np.uint32)
    )


def _is_closed_as_file(surface: Surface) -> bool:
    """True where the surface is closed, also once equal positions are one vertex, as in a file."""
    unique, index = np.unique(surface.vertices, axis=0, return_inverse=True)
    if len(unique) != len(surface.vertices):
        return False
    return is_closed(index.reshape(-1)[surface.faces].astype(np.int64), len(unique))
