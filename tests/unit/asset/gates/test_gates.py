"""Every planted fault is caught by the gate made for it, and a sound asset by none."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamfoundry.asset.export import asset_metadata
from dreamfoundry.asset.files import xmp
from dreamfoundry.asset.files.glb import join_glb, split_glb
from dreamfoundry.asset.files.gltf_writer import png, write_collision_glb, write_glb
from dreamfoundry.asset.gates.findings import GATES, gate_results
from dreamfoundry.asset.gates.hulls import check_collision
from dreamfoundry.asset.gates.khronos import MODULE_VARIABLE, check_khronos
from dreamfoundry.asset.gates.levels import LevelLimits, check_levels
from dreamfoundry.asset.gates.likeness import check_likeness
from dreamfoundry.asset.gates.metadata import check_metadata
from dreamfoundry.asset.gates.pictures import check_pictures
from dreamfoundry.asset.surface.collision import collision_hull
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import Finding, PriorIdentity, Prompt, Surface, TexturedMesh
from dreamfoundry.settings.export_profiles import ExportProfile

LIMITS = LevelLimits(max_triangles=1000, texture_px=128, height_m=1.0)
MODULE = Path(os.environ.get(MODULE_VARIABLE) or Path(__file__).parents[4] / "node_modules" / "gltf-validator")


def written(mesh: TexturedMesh) -> bytes:
    return write_glb(mesh, slug="beacon", level=0, metadata={}, copyright_text="nobody")


def blocked_gates(findings: list[Finding]) -> set[str]:
    return {finding.gate for finding in findings if finding.severity == "block"}


def without_some_faces(mesh: TexturedMesh) -> TexturedMesh:
    return replace(mesh, faces=mesh.faces[5:])


def with_two_bodies(mesh: TexturedMesh) -> TexturedMesh:
    half = replace(mesh, vertices=(mesh.vertices * (0.3, 1.0, 0.3) + (0.4, 0.0, 0.0)).astype(np.float32))
    other = (mesh.vertices * (0.3, 1.0, 0.3) - (0.4, 0.0, 0.0)).astype(np.float32)
    return replace(
        half,
        detail=None,
        vertices=np.concatenate((half.vertices, other)),
        normals=np.tile(mesh.normals, (2, 1)),
        uvs=np.tile(mesh.uvs, (2, 1)),
        faces=np.concatenate((mesh.faces, mesh.faces + np.uint32(len(mesh.vertices)))),
    )


def with_nan(mesh: TexturedMesh) -> TexturedMesh:
    normals = mesh.normals.copy()
    normals[7, 1] = np.nan
    return replace(mesh, normals=normals)


def with_detail(mesh: TexturedMesh, **changes: Any) -> TexturedMesh:
    assert mesh.detail is not None
    return replace(mesh, detail=replace(mesh.detail, **changes))


def tangents(mesh: TexturedMesh) -> np.ndarray:
    assert mesh.detail is not None
    return mesh.detail.tangents


def plain(side_px: int, *color: int) -> np.ndarray:
    return np.full((side_px, side_px, len(color)), color, np.uint8)


def smaller(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture[::2, ::2])


def with_charts_on_each_other(mesh: TexturedMesh) -> TexturedMesh:
    return replace(mesh, uvs=(0.5 * np.round(2 * mesh.uvs) + 0.2 * mesh.uvs).astype(np.float32) % 1)


Plant = Callable[[TexturedMesh], TexturedMesh]

FAULTS: dict[str, tuple[Plant, dict[str, str]]] = {
    "flipped winding": (
        lambda m: replace(m, faces=np.ascontiguousarray(m.faces[:, ::-1])),
        {"volume": "block", "winding": "block"},
    ),
    "inverted normals": (lambda m: replace(m, normals=-m.normals), {"winding": "block", "tangents": "block"}),
    "normals of length 2": (lambda m: replace(m, normals=2 * m.normals), {"unit_normals": "block"}),
    "a thousand times too big": (
        lambda m: replace(m, vertices=1000 * m.vertices),
        {"height": "block", "longest_side": "block"},
    ),
    "lying on its side": (
        lambda m: replace(m, vertices=np.ascontiguousarray(m.vertices[:, [1, 2, 0]]) - np.float32([0.5, -0.5, 0])),
        {"height": "block", "base_at_origin": "block", "winding": "block", "tangents": "block"},
    ),
    "floating above the ground": (
        lambda m: replace(m, vertices=m.vertices + np.array([0, 0.2, 0], np.float32)),
        {"base_at_origin": "block"},
    ),
    "beside the axis": (
        lambda m: replace(m, vertices=m.vertices + np.array([0.2, 0, 0], np.float32)),
        {"base_at_origin": "block"},
    ),
    "a hole": (without_some_faces, {"watertight": "block"}),
    "two bodies": (
        with_two_bodies,
        {"one_component": "block", "triangle_budget": "block", "uv_overlap": "block"},
    ),
    "a normal that is not a number": (with_nan, {"finite": "block"}),
    "texture coordinates outside": (lambda m: replace(m, uvs=m.uvs + np.float32(0.5)), {"uv_range": "block"}),
    "charts on each other": (with_charts_on_each_other, {"uv_overlap": "block"}),
    "charts in a corner": (lambda m: replace(m, uvs=m.uvs * np.float32(0.5)), {"uv_coverage": "warn"}),
    "too small a base colour": (lambda m: replace(m, base_color=smaller(m.base_color)), {"image_size": "block"}),
    "too small a normal map": (
        lambda m: with_detail(m, normal_map=plain(64, 128, 128, 255), occlusion=plain(64, 200)),
        {"image_size": "block"},
    ),
    "a black texture": (
        lambda m: replace(m, base_color=plain(128, 0, 0, 0)),
        {"base_color_range": "warn", "base_color_varies": "warn"},
    ),
    "one colour everywhere": (
        lambda m: replace(m, base_color=plain(128, 90, 90, 90)),
        {"base_color_varies": "warn"},
    ),
    "normals turned inwards": (lambda m: with_detail(m, normal_map=plain(128, 128, 128, 0)), {"normal_map": "warn"}),
    "a base colour as normals": (lambda m: with_detail(m, normal_map=plain(128, 250, 90, 30)), {"normal_map": "warn"}),
    "all in the shade": (lambda m: with_detail(m, occlusion=plain(128, 0)), {"orm": "warn"}),
    "tangents of the wrong sign": (
        lambda m: with_detail(m, tangents=tangents(m) * np.float32([1, 1, 1, -1])),
        {"tangents": "block"},
    ),
    "tangents turned round": (
        lambda m: with_detail(m, tangents=tangents(m) * np.float32([-1, -1, -1, -1])),
        {"tangents": "block"},
    ),
    "tangents of length 2": (
        lambda m: with_detail(m, tangents=tangents(m) * np.float32([2, 2, 2, 1])),
        {"tangents": "block"},
    ),
    "tangents along the normals": (
        lambda m: with_detail(m, tangents=np.column_stack((m.normals, tangents(m)[:, 3]))),
        {"tangents": "block"},
    ),
    "a sign of 0": (
        lambda m: with_detail(m, tangents=tangents(m) * np.float32([1, 1, 1, 0])),
        {"tangents": "block"},
    ),
}


def test_a_sound_level_passes_every_gate(detailed_beacon: TexturedMesh) -> None:
    findings, scores = check_levels({"beacon.glb": written(detailed_beacon)}, [LIMITS])

    assert findings == []
    assert 0.4 < scores["uv_coverage_LOD0"] < 1.0 and scores["uv_overlap_LOD0"] == 0.0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_its_gates_and_by_no_other(detailed_beacon: TexturedMesh, fault: str) -> None:
    plant, gates = FAULTS[fault]

    with np.errstate(invalid="ignore"):
        findings, _ = check_levels({"beacon.glb": written(plant(detailed_beacon))}, [LIMITS])

    assert {finding.gate: finding.severity for finding in findings} == gates, findings
    assert all(finding.message.startswith("beacon.glb: ") for finding in findings)


def test_too_many_triangles_are_caught(textured_beacon: TexturedMesh) -> None:
    limits = replace(LIMITS, max_triangles=len(textured_beacon.faces) - 1)

    assert blocked_gates(check_levels({"a.glb": written(textured_beacon)}, [limits])[0]) == {"triangle_budget"}


def test_a_level_as_large_as_the_one_before_is_caught(textured_beacon: TexturedMesh) -> None:
    data = written(textured_beacon)

    findings, _ = check_levels({"a.glb": data, "a_LOD1.glb": data}, [LIMITS, LIMITS])

    assert blocked_gates(findings) == {"levels_decreasing"}


def test_a_texture_with_broken_data_is_caught(textured_beacon: TexturedMesh) -> None:
    data = bytearray(written(textured_beacon))
    start = data.index(b"\x89PNG")
    data[start + 200 :] = bytes(len(data) - start - 200)

    assert blocked_gates(check_levels({"a.glb": bytes(data)}, [LIMITS])[0]) == {"image_decodes"}


def test_a_picture_of_another_mode_is_caught(detailed_beacon: TexturedMesh) -> None:
    document, binary = split_glb(written(detailed_beacon))
    translucent = png(np.full((128, 128, 4), 90, np.uint8))
    document["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(translucent)})
    document["images"][0]["bufferView"] = len(document["bufferViews"]) - 1
    data = join_glb(canonical_json(document), binary + translucent + bytes(-len(translucent) % 4))

    ((finding,), _) = check_levels({"a.glb": data}, [LIMITS])

    assert (finding.severity, finding.gate) == ("block", "image_decodes") and "mode RGBA" in finding.message


def test_a_file_cut_short_is_unreadable(textured_beacon: TexturedMesh) -> None:
    assert blocked_gates(check_levels({"a.glb": written(textured_beacon)[:-100]}, [LIMITS])[0]) == {"readable"}


def test_a_hull_must_be_convex_closed_outward_and_small(torus_surface: Surface) -> None:
    hull = collision_hull(torus_surface, 16)

    def findings(surface: Surface) -> list[Finding]:
        return check_collision(write_collision_glb([hull, surface], slug="a", metadata={}, copyright_text="n"), 16)

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


PRIOR = PriorIdentity("org/prior", "r1", "d" * 64, "Apache-2.0")
METADATA = asset_metadata(Prompt("row-7", "a caf\u00e9"), PRIOR, "f" * 64, "a" * 64, "e" * 64, ExportProfile())


def test_files_that_say_all_and_the_same_pass(textured_beacon: TexturedMesh) -> None:
    files = {name: stamped(textured_beacon, METADATA) for name in ("a.glb", "a_LOD1.glb")}

    assert check_metadata(files) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"prompt_sha256": ""}, "without prompt_sha256"),
        ({"seed": None, "units": ""}, "without seed, units"),
        ({"asset_license": "Apache 2"}, "must be SPDX"),
        ({"prompt": "a cafe"}, "that of the prompt is "),
    ],
)
def test_what_a_file_does_not_say_or_says_wrongly_is_refused(
    textured_beacon: TexturedMesh, changes: dict[str, Any], word: str
) -> None:
    (finding,) = check_metadata({"a.glb": stamped(textured_beacon, {**METADATA, **changes})})

    assert (finding.severity, finding.gate) == ("block", "metadata")
    assert finding.message.startswith("a.glb: ") and word in finding.message


def test_files_that_contradict_each_other_or_themselves_are_refused(textured_beacon: TexturedMesh) -> None:
    sound = stamped(textured_beacon, METADATA)
    of_another_row = stamped(textured_beacon, {**METADATA, "seed": 8})
    foreign = xmp.stamped(sound, {"dc:identifier": "another"})
    document, binary = split_glb(sound)
    del document["scenes"][0]["extras"]
    silent_scene = join_glb(canonical_json(document), binary)
    document["scenes"][0]["extras"] = document["asset"]["extras"]
    document["asset"]["copyright"] = ""
    unowned = join_glb(canonical_json(document), binary)

    for file, word in (
        (of_another_row, "are not those of a.glb"),
        (foreign, "XMP packet is about 'another'"),
        (silent_scene, "extras of its scene"),
        (unowned, "asset.copyright"),
        (b"junk", "cannot be read"),
    ):
        (finding,) = check_metadata({"a.glb": sound, "b.glb": file})
        assert finding.message.startswith("b.glb: ") and word in finding.message


def stamped(mesh: TexturedMesh, metadata: Mapping[str, Any]) -> bytes:
    data = write_glb(mesh, slug="beacon", level=0, metadata=metadata, copyright_text="nobody")
    return xmp.stamped(data, xmp.packet({**METADATA, **metadata}, "nobody"))


def test_pictures_must_show_a_shaded_asset() -> None:
    around = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 4), dtype=np.uint8)
    around[..., 3] = 0
    around[:, 8:24, 8:24, 3] = 255
    blank, flat, full, once_missing = (around.copy() for _ in range(4))
    blank[..., 3] = 0
    flat[..., :3] = 70
    full[..., 3] = 255
    once_missing[1, ..., 3] = 0

    assert check_pictures(around) == []
    for pictures in (blank, flat, full, once_missing):
        assert [(f.severity, f.gate) for f in check_pictures(pictures)] == [("block", "picture")]


def test_what_was_lost_on_the_way_is_a_warning() -> None:
    sound = {
        "surface_error_mean_LOD0": 0.001,
        "surface_error_max_LOD0": 0.02,
        "surface_error_max_LOD1": 0.9,  # the budget of a coarse level decides
        "silhouette_iou_LOD0": 0.97,
        "level_iou_LOD1": 0.95,
    }
    faults = {
        "surface_error_mean_LOD0": (0.006, "surface_error"),
        "surface_error_max_LOD0": (0.04, "surface_error"),
        "silhouette_iou_LOD0": (0.5, "field_silhouettes"),
        "level_iou_LOD1": (0.8, "level_silhouettes"),
    }

    assert check_likeness(sound) == []
    for score, (value, gate) in faults.items():
        (finding,) = check_likeness({**sound, score: value})
        assert (finding.severity, finding.gate) == ("warn", gate) and score in finding.message


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
