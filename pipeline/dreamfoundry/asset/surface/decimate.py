"""Stage 4, levels of detail: fewer triangles, still closed, and no more of them than a stated error needs.

Edge collapse by quadric error (Garland and Heckbert, SIGGRAPH 1997; fast-simplification), then a
pass through manifold3d, which restores a manifold where collapses pinched the surface. The collapse knows no
error, so it is measured: a few decimations show how the error grows as triangles become fewer. It knows no handles
either: where it cuts one through, the slower one of `asset.surface.collapse` takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import fast_simplification
import manifold3d
import numpy as np

from dreamfoundry.asset.surface.collapse import collapsed
from dreamfoundry.asset.surface.crossings import num_crossing_faces
from dreamfoundry.asset.surface.distance import DistanceMeter
from dreamfoundry.asset.surface.triangles import genus, is_closed
from dreamfoundry.errors import SurfaceFailed
from dreamfoundry.records import Surface

TRIES = ((1.0, 4), (1.0, 5), (1.0, 3), (1.5, 4), (2.0, 4), (0.97, 5), (0.9, 7), (0.8, 7))
"""(share of the wanted number to aim at, aggressiveness), until one gives a whole manifold within the budget.

At 4 the error is 40 % less and slivers are a tenth of what they are at 7, fast-simplification's default; at 3 it
sometimes stops early. The larger shares keep parts on that fewer triangles lose.
"""

TURN_COSINES = (0.8, 0.3)
"""Least cosines of the angle by which one collapse that keeps handles may turn a face.

At 0.8 the triangles of a handle as thin as a wire do not cross; the other reaches smaller budgets.
"""

STEP_SHARE = 0.75
"""A level has at most this share of the triangles of the level before it."""

SMALLEST_LEVEL = 12

KEPT_SHARE = 0.995
"""A level is whole where its largest part has this share of its area."""

POINTS_PER_TRIAL = 2_000
"""Points with which the growing error is measured: the mean is that of the score within a few per cent."""

LEAST_TRIAL = 100
"""Triangles below which no error is measured."""

PINCH_SHARE = 0.02
"""How far a pinched vertex moves towards the middle of the faces around it."""


def levels(surface: Surface, budgets: Sequence[int], error: float = 0.0) -> list[Surface]:
    """One closed surface per budget of triangles, each with fewer triangles than the one before.

    `error` is the mean distance of the first from `surface`, as a share of its diagonal; each later level has twice
    that of the one before. A level has as many triangles as it takes to stay below, or its whole budget where
    that is too little or `error` is 0. Raises SurfaceFailed when a level cannot be made.
    """
    wanted = _wanted(surface, budgets, error) if error else budgets
    made: list[Surface] = []
    for budget, count in zip(budgets, wanted, strict=True):
        limit = budget if not made else min(budget, int(STEP_SHARE * len(made[-1].faces)))
        made.append(decimate(surface, limit, min(count, limit), made[-1] if made else None))
    return made


def _wanted(surface: Surface, budgets: Sequence[int], error: float) -> list[int]:
    """Triangles at which each level reaches its error, at most the budget.

    Errors are measured at half the triangles time and again, and between two of these grow as a power of their number
    (of a smooth surface by about 1/n).
    """
    aims = [error * 2.0**number for number in range(len(budgets))]
    meter = DistanceMeter.of(surface, POINTS_PER_TRIAL)
    counts: list[int] = []
    met: list[float] = []
    count = min(budgets[0], len(surface.faces) // 2)
    while count >= LEAST_TRIAL and (not met or met[-1] < aims[-1]):
        level, _, _ = _collapsed(surface, count, TRIES[0][1])
        if level is not None:
            counts.append(len(level.faces))
            met.append(meter.error(level).mean)
        count //= 2

    if not met:
        return list(budgets)
    reached = np.exp(np.interp(np.log(aims), np.log(met), np.log(counts)))
    return [max(min(budget, int(count)), SMALLEST_LEVEL) for budget, count in zip(budgets, reached, strict=True)]


def decimate(surface: Surface, max_triangles: int, wanted: int | None = None, finer: Surface | None = None) -> Surface:
    """`surface` with at most `max_triangles` triangles, closed and in one piece.

    With `wanted` it has about so many, and more only where fewer would cut a part off or close a handle. Where
    all `TRIES` do, edges of `finer` are collapsed, a level made before, or of `surface`, so that handles stay; what
    even these cannot keep is lost. Raises SurfaceFailed where no manifold comes out.
    """
    if max_triangles < SMALLEST_LEVEL:
        raise SurfaceFailed(
            f"max_triangles = {max_triangles}: a level needs at least {SMALLEST_LEVEL}; the surface is too small "
            "for so many levels, or has fallen apart in the level before"
        )
    wanted = min(wanted or max_triangles, max_triangles)
    if len(surface.faces) <= wanted and _is_closed_as_file(surface):
        return surface

    reached = "nothing"
    best: tuple[tuple[bool, bool], Surface] | None = None
    for share, aggressiveness in TRIES:
        target = min(int(share * wanted), int(share * len(surface.faces)))
        if target > max_triangles:
            continue
        level, kept_share, words = _collapsed(surface, target, aggressiveness)
        if level is None or len(level.faces) > max_triangles:
            reached = words
            continue

        flaws = kept_share < KEPT_SHARE, genus(level) != genus(surface)
        if best is None or flaws < best[0]:
            best = flaws, level
        if not any(flaws):
            break
    if best is not None and not any(best[0]):
        return best[1]

    if (whole := _whole(surface, wanted, finer)) is not None:
        return whole
    if best is None:
        raise SurfaceFailed(
            f"max_triangles = {max_triangles}: decimation reached {reached}, no manifold within the budget"
        )
    return best[1]


def _whole(surface: Surface, max_triangles: int, finer: Surface | None) -> Surface | None:
    """A level with all handles of `surface`, and where one of `TURN_COSINES` gives such a one, no crossing triangles.

    A level that was made before is a start as near to the surface, and a tenth of the work.
    """
    start = surface if finer is None or genus(finer) != genus(surface) else finer
    made = (collapsed(start, max_triangles, cosine) for cosine in TURN_COSINES)
    crossing: list[Surface] = []
    for level in made:
        if level is None or not _is_closed_as_file(level):
            continue
        if not num_crossing_faces(level):
            return level
        crossing.append(level)
    return crossing[0] if crossing else None


def _collapsed(surface: Surface, target: int, aggressiveness: int) -> tuple[Surface | None, float, str]:
    """The largest part of `surface` collapsed to about `target` triangles, its share of the area, and words for it;
    None where that is no manifold."""
    vertices, faces = fast_simplification.simplify(
        surface.vertices, surface.faces.astype(np.int32), target_count=target, agg=aggressiveness
    )[:2]

    # collapses may pinch the surface; manifold3d splits it there, and the largest part stays
    solid = manifold3d.Manifold(manifold3d.Mesh(vertices.astype(np.float32), faces.astype(np.uint32)))
    if solid.status() != manifold3d.Error.NoError or solid.is_empty():
        return None, 0.0, f"a mesh with status {solid.status().name}"
    body = max(solid.decompose(), key=lambda part: float(part.surface_area()))
    triangles = body.to_mesh()
    level = _separated(np.array(triangles.vert_properties)[:, :3], np.array(triangles.tri_verts))

    if not _is_closed_as_file(level):
        return None, 0.0, f"{len(level.faces)} triangles that touch one another"
    return level, float(body.surface_area() / solid.surface_area()), f"{len(level.faces)} triangles"


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
