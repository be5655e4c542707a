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
from dreamfoundry.asset.findings import block
from dreamfoundry.asset.surface.triangles import is_closed, signed_volume
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


def _num_components(faces: Int64[np.ndarray, "F 3"], num_vertices: int) -> int:
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]]))
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(num_vertices, num_vertices))
    used = np.unique(faces)
    return len(np.unique(connected_components(graph, directed=False)[1][used]))
