"""Stage 5, frames at vertices: unit normals, and the tangents that MikkTSpace would make.

A normal map means something only in the frames that baker and renderer share; glTF takes those of
MikkTSpace (Mikkelsen, "Simulation of Wrinkled Surfaces Revisited", 2008, and his reference code).
The tangent points to where u grows; the bitangent is cross(normal, tangent) * w.

The trap: MikkTSpace reads v as growing upwards, and so does the green of a normal map, while v of
glTF grows downwards. Without turning it round every w is wrong, and no validator notices.

Dimension key:  N vertices · F faces
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, UInt32

from dreamfoundry.asset.surface.triangles import area_normals
from dreamfoundry.records import Surface


def vertex_normals(surface: Surface) -> Float32[np.ndarray, "N 3"]:
    """Unit normals at the vertices: the area-weighted mean of the faces around (Gouraud, 1971).

    Where these cancel, a face of the vertex decides; without any, up.
    """
    corners = surface.vertices.astype(np.float64)[surface.faces]
    face_normals = area_normals(corners)
    summed = np.zeros((len(surface.vertices), 3))
    for k in range(3):
        np.add.at(summed, surface.faces[:, k], face_normals)
    length = np.linalg.norm(summed, axis=1)
    lost = length <= 1e-6 * np.median(np.linalg.norm(face_normals, axis=1))
    if lost.any():
        single = np.tile((0.0, 1.0, 0.0), (len(summed), 1))
        solid = np.flatnonzero((face_normals != 0.0).any(axis=1))
        for k in range(3):
            single[surface.faces[solid, k]] = face_normals[solid]
        summed[lost] = single[lost]
        length = np.linalg.norm(summed, axis=1)
    normals: np.ndarray = (summed / length[:, None]).astype(np.float32)
    return normals


def vertex_tangents(
    vertices: Float32[np.ndarray, "N 3"],
    normals: Float32[np.ndarray, "N 3"],
    uvs: Float32[np.ndarray, "N 2"],
    faces: UInt32[np.ndarray, "F 3"],
) -> Float32[np.ndarray, "N 4"]:
    """Unit tangents perpendicular to the unit `normals`, with w = 1, or -1 where the chart is mirrored.

    `uvs` follow glTF (v grows downwards), and vertices are split along the seams. As in MikkTSpace,
    each face counts by its angle at the vertex, and faces without area in the texture do not count.
    Where faces of both orientations meet, those with the larger angle decide. A vertex that no
    face gives a direction takes any perpendicular.
    """
    unit_normals = normals.astype(np.float64)
    direction, orientation = _growing_u(vertices.astype(np.float64)[faces], uvs.astype(np.float64)[faces])
    summed = np.zeros((2, len(vertices), 3))  # by orientation: mirrored, not mirrored
    angle_around = np.zeros((2, len(vertices)))

    # mirrored and unmirrored faces are summed apart, so that they cannot cancel
    counted = np.flatnonzero(orientation != 0.0)
    side = (orientation[counted] > 0.0).astype(np.int64)
    for k in range(3):
        at = faces[counted, k]
        normal = unit_normals[at]
        place = vertices[at].astype(np.float64)
        before = _on_plane(vertices[faces[counted, k - 1]] - place, normal)
        after = _on_plane(vertices[faces[counted, (k + 1) % 3]] - place, normal)
        angle = np.arccos(np.clip((before * after).sum(axis=1), -1.0, 1.0))
        np.add.at(summed, (side, at), angle[:, None] * _on_plane(direction[counted], normal))
        np.add.at(angle_around, (side, at), angle)

    mirrored = angle_around[0] > angle_around[1]
    tangent = _on_plane(np.where(mirrored[:, None], summed[0], summed[1]), unit_normals)
    lost = ~tangent.any(axis=1)
    tangent[lost] = _any_perpendicular(unit_normals[lost])
    return np.column_stack((tangent, np.where(mirrored, -1.0, 1.0))).astype(np.float32)


def _growing_u(
    corners: Float64[np.ndarray, "F 3 3"], uvs: Float64[np.ndarray, "F 3 2"]
) -> tuple[Float64[np.ndarray, "F 3"], Float64[np.ndarray, " F"]]:
    """Per face: the direction in which u grows, and 1, -1 (mirrored) or 0 (no area in the texture)."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    u1, u2 = uvs[:, 1, 0] - uvs[:, 0, 0], uvs[:, 2, 0] - uvs[:, 0, 0]
    v1, v2 = uvs[:, 0, 1] - uvs[:, 1, 1], uvs[:, 0, 1] - uvs[:, 2, 1]  # upwards
    orientation = np.sign(u1 * v2 - u2 * v1)
    return (first * v2[:, None] - second * v1[:, None]) * orientation[:, None], orientation


def _on_plane(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """`vectors` without their part along the unit `normals`, as unit vectors; 0 where nothing is left."""
    flat = vectors - normals * (normals * vectors).sum(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    kept: np.ndarray = np.where(length > 1e-30, flat / np.maximum(length, 1e-30), 0.0)
    return kept


def _any_perpendicular(normals: np.ndarray) -> np.ndarray:
    """A unit vector perpendicular to each normal: from the axis that is farthest from it."""
    axis = np.eye(3)[np.abs(normals).argmin(axis=1)] if len(normals) else np.zeros((0, 3))
    return _on_plane(axis, normals)
