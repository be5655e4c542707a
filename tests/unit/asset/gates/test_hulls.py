"""Hulls that a physics engine would refuse, or that the asset stands out of, are caught."""

from dataclasses import replace

import numpy as np

from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_collision_glb, write_glb
from dreamfoundry.asset.gates.check import CheckResult
from dreamfoundry.asset.gates.hulls import check_collision, check_hold
from dreamfoundry.asset.surface.collision import collision_hull
from dreamfoundry.records import Finding, Surface, TexturedMesh


def blocked_gates(findings: list[Finding]) -> set[str]:
    return {finding.gate for finding in findings if finding.severity == "block"}


def test_a_hull_must_be_convex_closed_outward_and_small(torus_surface: Surface) -> None:
    hull = collision_hull(torus_surface, 16)

    def findings(surface: Surface) -> list[Finding]:
        data = write_collision_glb([hull, surface], slug="a", metadata={}, copyright_text="n")
        return check_collision(Glb("a_collision.glb", data), 16)

    assert findings(hull) == []
    crowded = collision_hull(torus_surface, 24)
    dented = hull.vertices.copy()
    dented[3] *= 0.3
    for spoiled in (
        replace(hull, faces=np.ascontiguousarray(hull.faces[:, ::-1])),
        replace(hull, faces=hull.faces[1:]),
        replace(hull, vertices=dented),
        crowded,
    ):
        assert blocked_gates(findings(spoiled)) == {"collision_hull"}


def test_hulls_that_the_asset_stands_out_of_are_warned_of(textured_beacon: TexturedMesh) -> None:
    surface = Surface(textured_beacon.vertices, textured_beacon.faces)
    level = Glb("a.glb", write_glb(textured_beacon, slug="a", level=0, metadata={}, copyright_text="n"))

    def findings(hull: Surface) -> CheckResult:
        data = write_collision_glb([hull], slug="a", metadata={}, copyright_text="n")
        return check_hold(level, Glb("a_collision.glb", data), 0.01)

    hull = collision_hull(surface, 32)
    held, lost = findings(hull), findings(replace(hull, vertices=hull.vertices * np.float32(0.9)))

    assert held.findings == []
    assert 0.0 <= held.scores["hull_outside_max"] <= 0.01
    assert [(finding.severity, finding.gate) for finding in lost.findings] == [("warn", "hulls_hold")]
    assert 0.03 < lost.scores["hull_outside_max"] < 0.2
