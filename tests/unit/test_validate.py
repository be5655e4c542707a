"""Every planted fault is caught by the gate made for it, and a sound asset by none."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamfoundry.collision import collision_hull
from dreamfoundry.gltf import collision_glb, glb
from dreamfoundry.khronos import MODULE_VARIABLE, check_khronos
from dreamfoundry.records import Finding, Surface, TexturedMesh
from dreamfoundry.validate import GATES, LevelLimits, check_collision, check_levels, gate_results

LIMITS = LevelLimits(max_triangles=1000, texture_px=128, height_m=1.0)
MODULE = Path(os.environ.get(MODULE_VARIABLE) or Path(__file__).parents[2] / "node_modules" / "gltf-validator")


def written(mesh: TexturedMesh) -> bytes:
    return glb(mesh, slug="beacon", level=0, metadata={}, copyright_text="nobody")


def blocked_gates(findings: list[Finding]) -> set[str]:
    return {finding.gate for finding in findings if finding.severity == "block"}


def without_some_faces(mesh: TexturedMesh) -> TexturedMesh:
    return replace(mesh, faces=mesh.faces[5:])


def with_two_bodies(mesh: TexturedMesh) -> TexturedMesh:
    half = replace(mesh, vertices=(mesh.vertices * (0.3, 1.0, 0.3) + (0.4, 0.0, 0.0)).astype(np.float32))
    other = (mesh.vertices * (0.3, 1.0, 0.3) - (0.4, 0.0, 0.0)).astype(np.float32)
    return replace(
        half,
        vertices=np.concatenate((half.vertices, other)),
        normals=np.tile(mesh.normals, (2, 1)),
        uvs=np.tile(mesh.uvs, (2, 1)),
        faces=np.concatenate((mesh.faces, mesh.faces + np.uint32(len(mesh.vertices)))),
    )


def with_nan(mesh: TexturedMesh) -> TexturedMesh:
    normals = mesh.normals.copy()
    normals[7, 1] = np.nan
    return replace(mesh, normals=normals)


FAULTS: dict[str, tuple[Callable[[TexturedMesh], TexturedMesh], str]] = {
    "flipped winding": (lambda m: replace(m, faces=np.ascontiguousarray(m.faces[:, ::-1])), "volume"),
    "winding against the normals": (lambda m: replace(m, faces=np.ascontiguousarray(m.faces[:, ::-1])), "winding"),
    "inverted normals": (lambda m: replace(m, normals=-m.normals), "winding"),
    "normals of length 2": (lambda m: replace(m, normals=2 * m.normals), "unit_normals"),
    "a thousand times too big": (lambda m: replace(m, vertices=1000 * m.vertices), "height"),
    "floating above the ground": (
        lambda m: replace(m, vertices=m.vertices + np.array([0, 0.2, 0], np.float32)),
        "base_at_origin",
    ),
    "beside the axis": (
        lambda m: replace(m, vertices=m.vertices + np.array([0.2, 0, 0], np.float32)),
        "base_at_origin",
    ),
    "texture coordinates outside": (lambda m: replace(m, uvs=m.uvs + np.float32(0.5)), "uv_range"),
    "a hole": (without_some_faces, "watertight"),
    "two bodies": (with_two_bodies, "one_component"),
    "a normal that is not a number": (with_nan, "finite"),
    "too small a texture": (
        lambda m: replace(m, base_color=np.ascontiguousarray(m.base_color[::2, ::2])),
        "image_size",
    ),
}


def test_a_sound_level_passes_every_gate(textured_beacon: TexturedMesh) -> None:
    assert check_levels({"beacon.glb": written(textured_beacon)}, [LIMITS]) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_its_gate(textured_beacon: TexturedMesh, fault: str) -> None:
    plant, gate = FAULTS[fault]

    with np.errstate(invalid="ignore"):
        findings = check_levels({"beacon.glb": written(plant(textured_beacon))}, [LIMITS])

    assert gate in blocked_gates(findings), findings
    assert all(finding.message.startswith("beacon.glb: ") for finding in findings)


def test_too_many_triangles_are_caught(textured_beacon: TexturedMesh) -> None:
    limits = replace(LIMITS, max_triangles=len(textured_beacon.faces) - 1)

    assert blocked_gates(check_levels({"a.glb": written(textured_beacon)}, [limits])) == {"triangle_budget"}


def test_a_level_as_large_as_the_one_before_is_caught(textured_beacon: TexturedMesh) -> None:
    data = written(textured_beacon)

    findings = check_levels({"a.glb": data, "a_LOD1.glb": data}, [LIMITS, LIMITS])

    assert blocked_gates(findings) == {"levels_decreasing"}


def test_a_texture_with_broken_data_is_caught(textured_beacon: TexturedMesh) -> None:
    data = bytearray(written(textured_beacon))
    start = data.index(b"\x89PNG")
    data[start + 200 :] = bytes(len(data) - start - 200)

    assert blocked_gates(check_levels({"a.glb": bytes(data)}, [LIMITS])) == {"image_decodes"}


def test_one_colour_everywhere_is_a_warning(textured_beacon: TexturedMesh) -> None:
    plain = replace(textured_beacon, base_color=np.full((128, 128, 3), 90, np.uint8))

    (finding,) = check_levels({"a.glb": written(plain)}, [LIMITS])

    assert (finding.severity, finding.gate) == ("warn", "base_color_varies")


def test_a_file_cut_short_is_unreadable(textured_beacon: TexturedMesh) -> None:
    assert blocked_gates(check_levels({"a.glb": written(textured_beacon)[:-100]}, [LIMITS])) == {"readable"}


def test_a_hull_must_be_convex_closed_outward_and_small(torus_surface: Surface) -> None:
    hull = collision_hull(torus_surface, 16)

    def findings(surface: Surface) -> list[Finding]:
        return check_collision(collision_glb([hull, surface], slug="a", metadata={}, copyright_text="n"), 16)

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


def test_each_gate_has_one_word_and_the_worst_finding_decides() -> None:
    results = gate_results(
        [
            Finding("warn", "khronos", "t", "m"),
            Finding("not_run", "khronos", "t", "m"),
            Finding("block", "volume", "t", "m"),
            Finding("warn", "volume", "t", "m"),
        ]
    )

    assert tuple(results) == GATES
    assert results["khronos"] == "not_run" and results["volume"] == "block" and results["height"] == "passed"


@pytest.mark.parametrize("missing", ["node", "module"])
def test_without_the_khronos_validator_the_gate_says_not_run(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH" if missing == "node" else MODULE_VARIABLE, str(tmp_path))

    findings, reports = check_khronos({"a.glb": b""})

    assert [(finding.severity, finding.gate) for finding in findings] == [("not_run", "khronos")]
    assert reports == {}


@pytest.mark.skipif(
    shutil.which("node") is None or not MODULE.is_dir(), reason="gltf-validator is not installed (`npm ci`)"
)
def test_khronos_finds_nothing_in_a_sound_file_and_the_fault_in_a_bad_one(textured_beacon: TexturedMesh) -> None:
    sound, bad = written(textured_beacon), written(replace(textured_beacon, normals=2 * textured_beacon.normals))

    findings, reports = check_khronos({"sound.glb": sound, "bad.glb": bad, "junk.glb": b"junk"})

    assert reports["sound.glb"]["issues"]["numErrors"] == reports["sound.glb"]["issues"]["numWarnings"] == 0
    assert {finding.message.split(":")[0] for finding in findings} == {"bad.glb", "junk.glb"}
    assert {finding.severity for finding in findings} == {"block"}
    assert any("ACCESSOR_VECTOR3_NON_UNIT" in finding.message for finding in findings)
