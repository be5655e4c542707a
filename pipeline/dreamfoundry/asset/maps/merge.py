"""Stage 5, small charts become part of a neighbour, before charts are packed.

xatlas leaves faces that bend away from their surroundings as charts of one or two triangles, each with seams all
around. Most of them are holes in another chart and fit back into them; others can be unfolded over an edge
that they share with another chart, and lie beside it.

Dimension key:  N vertices · n those that are left · F faces · K triangles of a piece · G those of a chart · C corners
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Complex128, Float64, Int64, Integer

from dreamfoundry.asset.maps.charts import chart_of_face
from dreamfoundry.asset.surface.triangles import twin_sides

MERGED_TRIANGLES = 12
"""Most triangles of a chart that becomes part of another one."""

MAX_SCALING = 2.0
"""Largest factor, either way, by which the scales of two charts may differ at their common edge."""

TOUCH = 1e-6
"""Depth, as a share of the longest side of a piece, up to which triangles touch and do not overlap."""


def merge_small_charts(
    places: Complex128[np.ndarray, " N"], source: Integer[np.ndarray, " N"], faces: Integer[np.ndarray, "F 3"]
) -> tuple[Complex128[np.ndarray, " n"], Integer[np.ndarray, " n"], Int64[np.ndarray, "F 3"]]:
    """Charts of a closed surface with small ones made part of others: places (x + iy), source vertices, faces.

    `source` names the vertex of the surface that each vertex repeats. The smallest charts go first, each to
    the first place in which it overlaps nothing; one that finds none stays.
    """
    places, faces = places.copy(), faces.astype(np.int64)
    chart = chart_of_face(faces, len(places))
    across = _faces_across(source[faces].astype(np.int64))
    sizes = np.bincount(chart)
    small = np.flatnonzero(sizes <= MERGED_TRIANGLES)

    for number in small[np.argsort(sizes[small], kind="stable")]:
        piece = np.flatnonzero(chart == number)
        for target, twins in _neighbors(piece, chart, across, source, faces).items():
            placed = _placed(places, faces[piece], twins, places[faces[chart == target]])
            if placed is not None:
                places[faces[piece]], common = placed
                faces[piece] = _replaced(faces[piece], common)
                chart[piece] = target
                break

    used, renumbered = np.unique(faces, return_inverse=True)
    return places[used], source[used], renumbered.reshape(-1, 3).astype(np.int64)


def signed_areas(corners: Complex128[np.ndarray, "K 3"]) -> Float64[np.ndarray, " K"]:
    """Area of each triangle, negative where it is mirrored."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas: np.ndarray = 0.5 * (first.conj() * second).imag
    return areas


def overlaps(piece: Complex128[np.ndarray, "K 3"], chart: Complex128[np.ndarray, "G 3"]) -> bool:
    """True where a triangle of the one has more than its border in common with a triangle of the other.

    Two triangles are apart when a side of one of them has both on different sides (separating axis theorem).
    """
    low, high = _corners_of_box(piece.reshape(1, -1))
    lows, highs = _corners_of_box(chart)
    near = chart[((lows <= high) & (highs >= low)).all(axis=1)]

    depth = np.full((len(piece), len(near)), np.inf)
    ours, theirs = piece[:, None], near[None]
    for triangles in (ours, theirs):
        for k in range(3):
            side = triangles[..., (k + 1) % 3] - triangles[..., k]
            normal = (1j * side / np.maximum(np.abs(side), 1e-300))[..., None]
            a, b = (ours * normal.conj()).real, (theirs * normal.conj()).real
            common = np.minimum(a.max(axis=-1), b.max(axis=-1)) - np.maximum(a.min(axis=-1), b.min(axis=-1))
            depth = np.minimum(depth, common)
    longest = float(np.abs(piece - np.roll(piece, 1, axis=1)).max())
    return bool((depth > TOUCH * longest).any())


def _corners_of_box(
    places: Complex128[np.ndarray, "K C"],
) -> tuple[Float64[np.ndarray, "K 2"], Float64[np.ndarray, "K 2"]]:
    plane = np.stack((places.real, places.imag), axis=-1)
    return plane.min(axis=1), plane.max(axis=1)


def _faces_across(corners: Int64[np.ndarray, "F 3"]) -> Int64[np.ndarray, "F 3"]:
    """Of each face, the faces behind its sides, from corner k to corner k + 1."""
    return twin_sides(corners, int(corners.max()) + 1).reshape(-1, 3) // 3


def _neighbors(
    piece: Int64[np.ndarray, " K"],
    chart: Int64[np.ndarray, " F"],
    across: Int64[np.ndarray, "F 3"],
    source: Integer[np.ndarray, " N"],
    faces: Int64[np.ndarray, "F 3"],
) -> dict[int, dict[int, int]]:
    """Charts beside a piece, most common vertices first, each with the twin there of each such vertex of the piece."""
    found: dict[int, dict[int, int]] = {}
    for face in piece:
        for k in np.flatnonzero(chart[across[face]] != chart[face]):
            other = across[face, k]
            theirs = {int(source[corner]): int(corner) for corner in faces[other]}
            twins = found.setdefault(int(chart[other]), {})
            for corner in (faces[face, k], faces[face, (k + 1) % 3]):
                twins[int(corner)] = theirs[int(source[corner])]
    return dict(sorted(found.items(), key=lambda entry: -len(entry[1])))


def _placed(
    places: Complex128[np.ndarray, " N"],
    faces: Int64[np.ndarray, "K 3"],
    twins: Mapping[int, int],
    others: Complex128[np.ndarray, "G 3"],
) -> tuple[Complex128[np.ndarray, "K 3"], dict[int, int]] | None:
    """The first placement of a piece that is turned as the chart `others` is, and overlaps nothing of it."""
    turn = np.sign(signed_areas(others).sum())
    for moved, common in _placements(places, faces, twins, turn):
        if (turn * signed_areas(moved) > 0.0).all() and not overlaps(moved, others):
            return moved, common
    return None


def _placements(
    places: Complex128[np.ndarray, " N"], faces: Int64[np.ndarray, "K 3"], twins: Mapping[int, int], turn: float
) -> Iterator[tuple[Complex128[np.ndarray, "K 3"], dict[int, int]]]:
    """Places for the corners of a piece, and the vertices that it then has in common with the chart, by their twins.

    It may fit into a hole between its twins; or it is turned round an edge that has two of them. `turn` is -1 where
    the chart is mirrored.
    """
    if set(twins) == set(faces.reshape(-1).tolist()):
        yield places[_replaced(faces, twins)], dict(twins)

    corners = places[faces]
    if signed_areas(corners).sum() * turn < 0.0:
        corners = corners.conj()
    for face, k in np.ndindex(faces.shape):
        ends = [(face, k), (face, (k + 1) % 3)]
        common = {int(faces[end]): twins[int(faces[end])] for end in ends if int(faces[end]) in twins}
        ours = [corners[end] for end in ends]
        if len(common) < 2 or ours[0] == ours[1]:
            continue
        theirs = [places[twin] for twin in common.values()]
        scaling = (theirs[1] - theirs[0]) / (ours[1] - ours[0])
        if 1.0 / MAX_SCALING <= abs(scaling) <= MAX_SCALING:
            yield theirs[0] + (corners - ours[0]) * scaling, common


def _replaced(faces: Int64[np.ndarray, "K 3"], twins: Mapping[int, int]) -> Int64[np.ndarray, "K 3"]:
    return np.array([[twins.get(int(corner), int(corner)) for corner in face] for face in faces], dtype=np.int64)
