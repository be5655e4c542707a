"""Triangles of one surface that pierce one another: light, baking and physics all take the inside for the outside.

Dimension key:  F faces · P pairs of faces
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dreamfoundry.records import Surface

PAIRS_PER_CHUNK = 1 << 21
"""Bounds the memory of one step to about 200 MB."""


def num_crossing_faces(surface: Surface) -> int:
    """Faces that an edge of another face passes through, and faces with such an edge.

    Faces that share an edge do not count, nor do those that only touch or lie in one plane.
    """
    vertices, faces = surface.vertices.astype(np.float64), surface.faces.astype(np.int64)
    crossing = np.zeros(len(faces), dtype=bool)
    for first, second in _near_pairs(vertices[faces]):
        shared = (faces[first][:, :, None] == faces[second][:, None, :]).any(axis=2).sum(axis=1)
        first, second = first[shared < 2], second[shared < 2]
        for one, other in ((first, second), (second, first)):
            for k in range(3):
                ends = faces[one, k], faces[one, (k + 1) % 3]
                apart = ~((faces[other] == ends[0][:, None]) | (faces[other] == ends[1][:, None])).any(axis=1)
                a, b = one[apart], other[apart]
                pierced = _pierces(vertices[ends[0][apart]], vertices[ends[1][apart]], vertices[faces[b]])
                crossing[a[pierced]] = crossing[b[pierced]] = True
    return int(crossing.sum())


def _near_pairs(
    corners: Float64[np.ndarray, "F 3 3"], pairs_per_chunk: int = PAIRS_PER_CHUNK
) -> Iterator[tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]]:
    """Pairs of faces whose bounding boxes overlap, each once, swept along the longest axis."""
    low, high = corners.min(axis=1), corners.max(axis=1)
    axis, *others = np.argsort(-np.ptp(corners.reshape(-1, 3), axis=0), kind="stable")
    order = np.argsort(low[:, axis], kind="stable")
    low, high = low[order], high[order]
    num_later = np.searchsorted(low[:, axis], high[:, axis], side="right") - np.arange(len(order)) - 1
    upto = np.concatenate(([0], np.cumsum(num_later)))

    start = 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(upto, upto[start] + pairs_per_chunk, side="right")) - 1)
        counts = num_later[start:stop]
        first = np.repeat(np.arange(start, stop), counts)
        second = first + 1 + np.arange(len(first)) - np.repeat(upto[start:stop] - upto[start], counts)
        for other in others:
            near = (low[first, other] <= high[second, other]) & (low[second, other] <= high[first, other])
            first, second = first[near], second[near]
        yield order[first], order[second]
        start = stop


def _pierces(
    start: Float64[np.ndarray, "P 3"], end: Float64[np.ndarray, "P 3"], corners: Float64[np.ndarray, "P 3 3"]
) -> Bool[np.ndarray, " P"]:
    """True where the segment passes through the inside of the triangle: its ends lie on different sides of the
    plane, and its line passes the three edges on one side."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    before, after = (((ends - corners[:, 0]) * normals).sum(axis=1) for ends in (start, end))
    through = np.flatnonzero(before * after < 0.0)

    away = corners[through] - start[through, None]
    along = end[through] - start[through]
    sides = np.stack([(np.cross(away[:, k], away[:, (k + 1) % 3]) * along).sum(axis=1) for k in range(3)])
    pierced = np.zeros(len(start), dtype=bool)
    pierced[through] = (sides > 0.0).all(axis=0) | (sides < 0.0).all(axis=0)
    return pierced
