"""Gate on collision hulls: the requirements of a physics engine.

Dimension key:  N vertices · F faces
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import DeliveredMesh, Glb
from dreamfoundry.asset.findings import block, not_run
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.asset.surface.triangles import is_closed, signed_volume, unit_normals
from dreamfoundry.records import Finding

GATE = "collision_hull"


def check_collision(glb: Glb, max_vertices: int) -> list[Finding]:
    """Each hull must be closed, turned outwards, convex and small enough."""
    try:
        hulls = {name: glb.mesh_of(name) for name in glb.node_names}
    except ValueError as error:
        return [block("readable", f"collision hull: {error}")]
    return [block(GATE, f"{name}: {flaw}") for name, hull in hulls.items() for flaw in _flaws(hull, max_vertices)]


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


def _check(draft: AssetDraft) -> CheckResult:
    if draft.hulls is None:
        return CheckResult([not_run(GATE, "the profile orders no hulls")])
    return CheckResult(check_collision(draft.hulls, draft.profile.collision_hull_vertices))


HULLS = Check((GATE,), "files", _check)
