"""Hulls that a physics engine would refuse are caught."""

from dataclasses import replace

import numpy as np

from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_collision_glb
from dreamfoundry.asset.gates.hulls import check_collision
from dreamfoundry.asset.surface.collision import collision_hull
from dreamfoundry.records import Finding, Surface


def blocked_gates(findings: list[Finding]) -> set[str]:
    return {finding.gate for finding in findings if finding.severity == "block"}


def test_a_hull_must_be_convex_closed_outward_and_small(torus_surface: Surface) -> None:
    hull = collision_hull(torus_surface, 16)

    def findings(surface: Surface) -> list[Finding]:
        data = write_collision_glb([hull, surface], slug="a", metadata={}, copyright_text="n")
        return check_collision(Glb("a_collision.glb", data), 16)

    assert findings(hull) == []
    dented = hull.vertices.copy()
    dented[3] *= 0.3
    for spoiled in (
        replace(hull, faces=np.ascontiguousarray(hull.faces[:, ::-1])),
        replace(hull, faces=hull.faces[1:]),
        replace(hull, vertices=dented),
        collision_hull(torus_surface, 17),
    ):
        assert blocked_gates(findings(spoiled)) == {"collision_hull"}
