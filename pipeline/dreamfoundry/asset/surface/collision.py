"""Stage 4, collision: a few convex hulls around a surface, in place of its triangles.

Engines test collisions against convex bodies. One hull fills the space under a table and the hole of
a ring; several follow the shape. They are found as in approximate convex decomposition (Lien and
Amato, 2004; Mamou and Ghorbel, ICIP 2009): cut in two where that saves most volume, then join
neighbours again where that costs least. Everything is cut and measured on a coarse level (manifold3d),
which takes about half a second; the finest level decides how far each hull reaches. A round body cannot be held
by 32 of its own points, so the planes of a hull are pushed outwards until they nearly hold what they should.

Dimension key:  N points · E corners of a hull · F faces of a hull
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import manifold3d
import numpy as np
from jaxtyping import Float64
from scipy.spatial import ConvexHull, QhullError

from dreamfoundry.asset.surface.distance import spread
from dreamfoundry.asset.surface.triangles import signed_volume
from dreamfoundry.errors import SurfaceFailed
from dreamfoundry.records import Surface

PIECES_PER_HULL = 3
"""The shape is cut into at most so many times more pieces than there may be hulls."""

CUTS_PER_AXIS = 11
"""Planes that are tried across each axis of a piece, evenly spread over its bounding box."""

TIGHT_SHARE = 0.01
"""Share of the volume of the solid: a hull with less room to spare is not cut, a join that adds less is made."""

OUTSIDE_SHARE = 0.008
"""Share of the diagonal of a surface by which it may stand out of its hulls: a foot that sinks in less is not seen, and
hulls that hold everything are a twentieth larger."""

PUSH_SHARE = 0.5
"""Share of the missing distance that a plane moves at a time; its neighbours move it, too."""

MAX_PUSHES = 60

LEAST_REACH = 0.04
"""Squared sine below which a plane at the ground is not pushed along it: its corners would slide far out."""

SURFACE_POINTS = 10_000
"""Points on the surface that hulls hold, besides its vertices."""

SLIVER_SHARE = 1e-4
"""Share of the volume of the solid below which a piece is left to the hulls around it."""


def collision_hulls(surface: Surface, coarse: Surface, *, max_hulls: int, max_vertices: int) -> list[Surface]:
    """At most `max_hulls` convex hulls that together hold `surface` to `OUTSIDE_SHARE`, the largest first.

    `coarse` is a level of the same surface with about a thousand triangles: it decides where to cut. Each hull has
    at most `max_vertices` corners. None reaches below the lowest point of `surface`; elsewhere they may pass its
    bounds by a few per cent, where it is round. Where nothing can be cut it is one hull. Raises
    SurfaceFailed when the surface is flat.
    """
    # Copies, because manifold3d refuses arrays that may not be written to, its own among them.
    solid = manifold3d.Manifold(manifold3d.Mesh(coarse.vertices.copy(), coarse.faces.copy()))
    if max_hulls == 1 or solid.status() != manifold3d.Error.NoError:
        return [collision_hull(surface, max_vertices)]
    bodies = _joined(_pieces(solid, PIECES_PER_HULL * max_hulls), max_hulls, TIGHT_SHARE * solid.volume())
    try:
        return _around(surface, bodies, max_vertices)
    except (QhullError, SurfaceFailed):  # a piece is as flat as a coin
        return [collision_hull(surface, max_vertices)]


def collision_hull(surface: Surface, max_vertices: int) -> Surface:
    """One convex hull of at most `max_vertices` corners that holds `surface` as `collision_hulls` do."""
    points = surface.vertices.astype(np.float64)
    return _holding(points, max_vertices, float(points[:, 1].min()), OUTSIDE_SHARE * _diagonal(points))


def outside_share(surface: Surface, hulls: Sequence[Surface]) -> float:
    """Largest distance of a point of `surface` outside of all hulls, by its diagonal; 0 where they hold it all."""
    points = _points_of(surface)
    distances = np.min([_outside(points, hull.vertices.astype(np.float64)) for hull in hulls], axis=0)
    return max(0.0, float(distances.max())) / _diagonal(points)


def volume_ratio(hulls: Sequence[Surface], surface: Surface) -> float:
    """Volume of all hulls by that of `surface`: 1 follows it exactly, a chair in one hull has about 3."""
    return sum(map(_volume, hulls)) / _volume(surface)


def _volume(surface: Surface) -> float:
    return signed_volume(surface.vertices.astype(np.float64)[surface.faces])


def _pieces(solid: manifold3d.Manifold, max_pieces: int) -> list[manifold3d.Manifold]:
    """`solid` in pieces that are nearly convex, or as many as there may be."""
    tight, sliver = TIGHT_SHARE * solid.volume(), SLIVER_SHARE * solid.volume()
    open_pieces, finished = [solid], list[manifold3d.Manifold]()
    while open_pieces and len(open_pieces) + len(finished) < max_pieces:
        to_spare = [piece.hull().volume() - piece.volume() for piece in open_pieces]
        piece = open_pieces.pop(int(np.argmax(to_spare)))
        parts = _best_cut(piece, sliver) if max(to_spare) > tight else []
        open_pieces += parts
        if not parts:
            finished.append(piece)
    return open_pieces + finished


def _best_cut(piece: manifold3d.Manifold, sliver: float) -> list[manifold3d.Manifold]:
    """The parts into which one plane cuts `piece`, with the least volume of their hulls; none if no plane does."""
    box = np.asarray(piece.bounding_box()).reshape(2, 3)
    best: list[manifold3d.Manifold] = []
    least = np.inf
    for axis in range(3):
        for share in (np.arange(CUTS_PER_AXIS) + 1.0) / (CUTS_PER_AXIS + 1.0):
            offset = float(box[0, axis] + share * (box[1, axis] - box[0, axis]))
            sides = piece.split_by_plane(np.eye(3)[axis].tolist(), offset)
            parts = [part for side in sides for part in side.decompose() if part.volume() > sliver]
            volume = sum(part.hull().volume() for part in parts)
            if len(parts) > 1 and volume < least:
                best, least = parts, volume
    return best


def _joined(pieces: Sequence[manifold3d.Manifold], max_hulls: int, cheap: float) -> list[manifold3d.Manifold]:
    """Hulls of `pieces`, two at a time made one where that adds least volume, the largest first."""
    hulls = dict(enumerate(piece.hull() for piece in pieces))

    def added(first: int, second: int) -> float:
        both = manifold3d.Manifold.batch_hull([hulls[first], hulls[second]])
        return float(both.volume() - hulls[first].volume() - hulls[second].volume())

    costs = {pair: added(*pair) for pair in combinations(hulls, 2)}
    while costs:
        pair = min(costs, key=lambda pair: (costs[pair], pair))
        if len(hulls) <= max_hulls and costs[pair] > cheap:
            break
        new = max(hulls) + 1
        hulls[new] = manifold3d.Manifold.batch_hull([hulls.pop(one) for one in pair])
        costs = {other: cost for other, cost in costs.items() if not {*pair} & {*other}}
        costs |= {(one, new): added(one, new) for one in hulls if one != new}
    return sorted(hulls.values(), key=lambda hull: -hull.volume())


def _around(surface: Surface, bodies: Sequence[manifold3d.Manifold], max_vertices: int) -> list[Surface]:
    """The hull of each body and of the points of `surface` that are nearest to it."""
    points = _points_of(surface)
    ground, allowed = float(points[:, 1].min()), OUTSIDE_SHARE * _diagonal(points)
    corners = [np.asarray(body.to_mesh().vert_properties, dtype=np.float64)[:, :3] for body in bodies]
    nearest = np.argmin([_outside(points, own) for own in corners], axis=0)
    for own in corners:  # the coarse level passes the ground here and there
        own[:, 1] = np.maximum(own[:, 1], ground)
    return [
        _holding(np.concatenate((own, points[nearest == k])), max_vertices, ground, allowed)
        for k, own in enumerate(corners)
    ]


def _points_of(surface: Surface) -> Float64[np.ndarray, "N 3"]:
    return np.concatenate((surface.vertices.astype(np.float64), spread(surface, SURFACE_POINTS)[0]))


def _diagonal(points: Float64[np.ndarray, "N 3"]) -> float:
    return float(np.linalg.norm(np.ptp(points, axis=0)))


def _outside(points: Float64[np.ndarray, "N 3"], corners: Float64[np.ndarray, "E 3"]) -> Float64[np.ndarray, " N"]:
    """Distance of each point outside the faces of the hull of `corners`; negative inside."""
    planes = ConvexHull(corners).equations
    distance: np.ndarray = (points @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    return distance


def _holding(points: Float64[np.ndarray, "N 3"], max_vertices: int, ground: float, allowed: float) -> Surface:
    """A hull of few corners that leaves no point farther outside than `allowed`, and is no larger than that takes.

    It starts with corners among the points. Then each plane that leaves out too much takes its three corners with it,
    outwards, or along the ground where a corner stands on it.
    """
    hull = _hull(points, max_vertices)
    try:
        points = points[ConvexHull(points).vertices]
        for _ in range(MAX_PUSHES):
            planes = ConvexHull(hull.vertices.astype(np.float64))
            missing = (points @ planes.equations[:, :3].T + planes.equations[:, 3]).max(axis=0)
            if missing.max() <= allowed:
                break
            pushed = _pushed(planes, PUSH_SHARE * (missing - 0.9 * allowed), ground)
            hull = _hull(pushed, len(pushed))
    except QhullError as error:
        raise SurfaceFailed(f"collision hull: the surface is flat ({str(error).splitlines()[0]})") from None
    return hull


def _pushed(planes: ConvexHull, distances: Float64[np.ndarray, " F"], ground: float) -> Float64[np.ndarray, "E 3"]:
    """The corners of a hull after each of its planes has moved outwards by its distance, if that is positive."""
    corners = planes.points
    moved = np.zeros_like(corners)
    for plane in np.argsort(-distances, kind="stable"):
        if distances[plane] <= 0.0:
            break
        normal = planes.equations[plane, :3]
        for corner in planes.simplices[plane]:
            direction = normal.copy()
            if normal[1] < 0.0 and corners[corner, 1] <= ground:
                direction[1] = 0.0
            # what the corner has moved for steeper planes counts; one that looks straight down holds all there is
            reach, need = float(normal @ direction), distances[plane] - normal @ moved[corner]
            if need > 0.0 and reach > LEAST_REACH:
                moved[corner] += direction * (need / reach)
    placed: np.ndarray = corners + moved
    placed[:, 1] = np.maximum(placed[:, 1], ground)
    return placed


def _hull(points: Float64[np.ndarray, "N 3"], max_vertices: int) -> Surface:
    """The convex hull of at most `max_vertices` of the points.

    Starts with the extreme points of the three axes, so that the hull keeps the bounding box and the
    footing, and adds the point that stands out farthest until the number is reached.
    """
    try:
        points = points[ConvexHull(points).vertices]
        chosen = sorted({int(f(points[:, axis])) for axis in range(3) for f in (np.argmin, np.argmax)})
        chosen = _spread(points, chosen)
        hull = ConvexHull(points[chosen])
        while len(chosen) < min(max_vertices, len(points)):
            outside = (points @ hull.equations[:, :3].T + hull.equations[:, 3]).max(axis=1)
            if outside.max() <= 1e-7:
                break
            chosen.append(int(outside.argmax()))
            hull = ConvexHull(points[chosen])
    except QhullError as error:
        raise SurfaceFailed(f"collision hull: the surface is flat ({str(error).splitlines()[0]})") from None

    # Qhull does not orient its faces
    used = np.unique(hull.simplices)
    corners = np.searchsorted(used, hull.simplices)
    vertices = hull.points[used]
    first, second, third = (vertices[corners[:, k]] for k in range(3))
    normals = np.cross(second - first, third - first)
    inward = (normals * hull.equations[:, :3]).sum(axis=1) < 0.0
    corners[inward] = corners[inward][:, ::-1]
    return Surface(vertices=vertices.astype(np.float32), faces=corners.astype(np.uint32))


def _spread(points: np.ndarray, chosen: list[int]) -> list[int]:
    """`chosen` with vertices added, farthest first, until four of them enclose a volume."""
    while True:
        centered = points[chosen] - points[chosen[0]]
        _, sizes, axes = np.linalg.svd(centered, full_matrices=True)
        rank = int((sizes > 1e-6 * max(float(sizes[0]), 1e-12)).sum())
        if rank == 3:
            return chosen
        away = np.linalg.norm((points - points[chosen[0]]) @ axes[rank:].T, axis=1)
        if int(away.argmax()) in chosen:
            return chosen
        chosen = [*chosen, int(away.argmax())]
