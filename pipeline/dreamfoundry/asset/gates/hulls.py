"""Gates on collision hulls: the requirements of a physics engine, and that they hold the asset.

Dimension key:  N vertices · F faces
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import QhullError

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import DeliveredMesh, Glb
from dreamfoundry.asset.findings import block, not_run, warn
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.asset.surface.collision import outside_share
from dreamfoundry.asset.surface.triangles import is_closed, signed_volume, unit_normals
from dreamfoundry.records import Finding, Surface

GATE, HOLD_GATE = "collision_hull", "hulls_hold"


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


def check_hold(level: Glb, hulls: Glb, max_outside: float) -> CheckResult:
    """The surface of `level` may stand out of all hulls by `max_outside` of its diagonal; the score
    `hull_outside_max` says by how much it does. A file that cannot be read is left to the gate that says so."""
    try:
        surface = _surface(level.mesh)
        around = [_surface(hulls.mesh_of(name)) for name in hulls.node_names]
        share = outside_share(surface, around)
    except (ValueError, QhullError):
        return CheckResult([not_run(HOLD_GATE, "a level or hull is not readable, or has no volume")])
    message = f"the surface stands out of its hulls by {share:.2%} of its diagonal: should be {max_outside:.0%}"
    return CheckResult([warn(HOLD_GATE, message)] if share > max_outside else [], {"hull_outside_max": share})


def _surface(mesh: DeliveredMesh) -> Surface:
    return Surface(mesh.vertices, mesh.faces.astype(np.uint32))


def _check(draft: AssetDraft) -> CheckResult:
    if draft.hulls is None:
        return CheckResult([not_run(gate, "the profile orders no hulls") for gate in (GATE, HOLD_GATE)])
    flaws = check_collision(draft.hulls, draft.profile.collision_hull_vertices)
    hold = check_hold(draft.master, draft.hulls, draft.profile.max_hull_outside)
    return CheckResult([*flaws, *hold.findings], hold.scores)


HULLS = Check((GATE, HOLD_GATE), "files", _check)
