"""Gates on the surface of a level: closed, in one piece, and turned outwards.

Dimension key:  N vertices · F faces
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.gates.findings import block
from dreamfoundry.asset.surface.triangles import signed_volume
from dreamfoundry.records import Finding


def solid_problems(mesh: DeliveredMesh) -> Iterator[Finding]:
    """Equal positions are welded first: a seam of the texture is no hole."""
    unique, index = np.unique(mesh.vertices, axis=0, return_inverse=True)
    welded = index.reshape(-1)[mesh.faces].astype(np.int64)
    if not is_closed(welded, len(unique)):
        yield block("watertight", "an edge does not belong to exactly two triangles of opposite direction")
    if (bodies := _num_components(welded, len(unique))) != 1:
        yield block("one_component", f"{bodies} separate parts: must be 1")
    if (volume := signed_volume(mesh.vertices.astype(np.float64)[mesh.faces])) <= 0.0:
        yield block("volume", f"signed volume = {volume:.4g} m3: must be positive (the surface is inside out)")


def is_closed(faces: Int64[np.ndarray, "F 3"], num_vertices: int) -> bool:
    """Whether every directed edge occurs once, and its reverse once: a closed, oriented manifold."""
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    forward = np.sort(edges[:, 0] * num_vertices + edges[:, 1])
    backward = np.sort(edges[:, 1] * num_vertices + edges[:, 0])
    return bool((np.diff(forward) > 0).all() and np.array_equal(forward, backward))


def _num_components(faces: Int64[np.ndarray, "F 3"], num_vertices: int) -> int:
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]]))
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(num_vertices, num_vertices))
    used = np.unique(faces)
    return len(np.unique(connected_components(graph, directed=False)[1][used]))
