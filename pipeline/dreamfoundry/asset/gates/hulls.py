"""The gate on collision hulls: what a physics engine takes without asking.

Dimension key:  N vertices · F faces
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dreamfoundry.asset.files.glb_reader import DeliveredMesh, node_names, read_glb
from dreamfoundry.asset.gates.findings import block
from dreamfoundry.asset.gates.solid import is_closed
from dreamfoundry.asset.surface.triangles import signed_volume, unit_normals
from dreamfoundry.records import Finding


def check_collision(glb: bytes, max_vertices: int) -> list[Finding]:
    """Each hull must be closed, turned outwards, convex and small enough."""
    try:
        hulls = {name: read_glb(glb, name) for name in node_names(glb)}
    except ValueError as error:
        return [block("readable", f"collision hull: {error}")]
    return [
        block("collision_hull", f"{name}: {flaw}")
        for name, hull in hulls.items()
        for flaw in _flaws(hull, max_vertices)
    ]


def _flaws(hull: DeliveredMesh, max_vertices: int) -> Iterator[str]:
    corners = hull.vertices.astype(np.float64)[hull.faces]
    normals = unit_normals(corners)
    size = float(np.ptp(hull.vertices, axis=0).max())
    outside = np.einsum("fk,nk->fn", normals, hull.vertices) - (normals * corners[:, 0]).sum(axis=1)[:, None]
    if len(hull.vertices) > max_vertices:
        yield f"{len(hull.vertices)} vertices: the limit is {max_vertices}"
    if not is_closed(hull.faces.astype(np.int64), len(hull.vertices)) or signed_volume(corners) <= 0.0:
        yield "the hull is open or inside out"
    elif outside.max() > 1e-4 * size:
        yield f"a vertex stands {outside.max():.3g} m outside a face: not convex"
