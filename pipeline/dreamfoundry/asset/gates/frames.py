"""Gates on normals and tangents: unit length, turned as the faces are, and as the texture grows.

A bitangent of the wrong sign lights every bump from the wrong side, and no validator notices.

Dimension key:  F faces
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.findings import block
from dreamfoundry.asset.surface.triangles import unit_normals
from dreamfoundry.records import Finding

LENGTH_TOLERANCE = 1e-3
"""How far the length of a normal or tangent may be from 1, and their cosine from 0."""

MIN_AGREEING_SHARE = 0.9
"""Share of faces that normals and tangents must agree with: sharp corners of a coarse level miss a
few, a flipped surface or a turned sign misses all."""


def normal_problems(mesh: DeliveredMesh) -> Iterator[Finding]:
    if mesh.normals is None:
        yield block("unit_normals", "the mesh has no normals")
        return
    if (worst := _off_unit(mesh.normals)) > LENGTH_TOLERANCE:
        yield block("unit_normals", f"a normal is {worst:.3g} off the length 1")
    faces = unit_normals(mesh.vertices.astype(np.float64)[mesh.faces])
    share = float(((faces * mesh.normals[mesh.faces].mean(axis=1)).sum(axis=1) > 0.0).mean())
    if share < MIN_AGREEING_SHARE:
        yield block("winding", f"normals agree with {share:.1%} of the faces: must be {MIN_AGREEING_SHARE:.0%}")


def tangent_problems(mesh: DeliveredMesh) -> Iterator[Finding]:
    """The frame of a normal map: tangents to where u grows, bitangents to where v of glTF falls."""
    if mesh.tangents is None:
        if mesh.normal_map_png:
            yield block("tangents", "there is a normal map but no tangent: every engine would make up its own")
        return
    if mesh.normals is None or mesh.uvs is None:
        return  # other gates report it

    tangents, sign = mesh.tangents[:, :3], mesh.tangents[:, 3]
    if not (np.abs(sign) == 1.0).all():
        yield block("tangents", "w of a tangent is neither 1 nor -1")
    if (worst := _off_unit(tangents)) > LENGTH_TOLERANCE:
        yield block("tangents", f"a tangent is {worst:.3g} off the length 1")
    if (worst := float(np.abs((tangents * mesh.normals).sum(axis=1)).max())) > LENGTH_TOLERANCE:
        yield block("tangents", f"a tangent and its normal have the cosine {worst:.3g}: must be perpendicular")

    # no validator notices a bitangent of the wrong sign
    bitangents = np.cross(mesh.normals, tangents) * sign[:, None]
    for word, share in zip(("tangents", "bitangents"), _agreeing_shares(mesh, tangents, bitangents), strict=True):
        if share < MIN_AGREEING_SHARE:
            yield block(
                "tangents",
                f"{word} agree with the texture coordinates of {share:.1%} of the faces: "
                f"must be {MIN_AGREEING_SHARE:.0%}",
            )


def _agreeing_shares(mesh: DeliveredMesh, tangents: np.ndarray, bitangents: np.ndarray) -> tuple[float, float]:
    """Share of the faces along whose gradient of u their tangents point; the same of -v and bitangents."""
    assert mesh.uvs is not None
    corners, uvs = mesh.vertices.astype(np.float64)[mesh.faces], mesh.uvs.astype(np.float64)[mesh.faces]
    sides = corners[:, 1:] - corners[:, :1]
    steps = (uvs[:, 1:] - uvs[:, :1]) * (1.0, -1.0)  # towards the right and the upper edge of the picture
    solid = np.abs(np.linalg.det(steps)) > 1e-12
    along_u, along_v = np.moveaxis(np.linalg.solve(steps[solid], sides[solid]), 1, 0)
    at = mesh.faces[solid]
    tangent, bitangent = tangents[at].mean(axis=1), bitangents[at].mean(axis=1)
    shares = [((a * b).sum(axis=1) > 0.0).mean() for a, b in ((tangent, along_u), (bitangent, along_v))]
    return float(shares[0]), float(shares[1])


def _off_unit(vectors: np.ndarray) -> float:
    return float(np.abs(np.linalg.norm(vectors, axis=1) - 1.0).max())
