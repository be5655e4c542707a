"""Geometry of triangles, counter-clockwise as seen from outside: normals, volume, closedness, handles.

Dimension key:  F faces · H sides of all faces
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from dreamfoundry.records import Surface


def area_normals(corners: Float64[np.ndarray, "F 3 3"]) -> Float64[np.ndarray, "F 3"]:
    """Outward normals, twice as long as the area of each face."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def signed_volume(corners: Float64[np.ndarray, "F 3 3"]) -> float:
    """Volume of a closed surface by the divergence theorem, positive when wound outwards."""
    return float(np.einsum("fk,fk->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0)


def unit_normals(corners: Float64[np.ndarray, "F 3 3"]) -> Float64[np.ndarray, "F 3"]:
    """Outward normals of length 1; of a face without area, 0."""
    normals = area_normals(corners)
    unit: np.ndarray = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return unit


def is_closed(faces: Int64[np.ndarray, "F 3"], num_vertices: int) -> bool:
    """True for a closed, oriented manifold: every directed edge occurs once, and its reverse once."""
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    forward = np.sort(edges[:, 0] * num_vertices + edges[:, 1])
    backward = np.sort(edges[:, 1] * num_vertices + edges[:, 0])
    return bool((np.diff(forward) > 0).all() and np.array_equal(forward, backward))


def twin_sides(faces: Int64[np.ndarray, "F 3"], num_vertices: int) -> Int64[np.ndarray, " H"]:
    """Of each side of a closed surface the same side in the other face.

    Sides go from corner k to k + 1 and are numbered 3 face + k.
    """
    starts, ends = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    forward, backward = starts * num_vertices + ends, ends * num_vertices + starts
    order = np.argsort(forward, kind="stable")
    found: np.ndarray = order[np.searchsorted(forward[order], backward)]
    return found


def genus(surface: Surface) -> int:
    """Number of handles of a closed surface in one piece, from Euler's characteristic V - E + F = 2 - 2 g."""
    return 1 - (len(surface.vertices) - len(surface.faces) // 2) // 2
