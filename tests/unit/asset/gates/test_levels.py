"""Every planted fault of a level is caught by the gate made for it, and a sound level by none."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dreamfoundry.asset.files.glb import join_glb, split_glb
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.files.png import encode_png
from dreamfoundry.asset.gates.levels import LevelLimits, check_levels
from dreamfoundry.asset.gates.maps.textures import texture_gpu_bytes
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import Finding, TexturedMesh

LIMITS = LevelLimits(max_triangles=1000, texture_px=128, height_m=1.0)


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
    assert mesh.detail.tangents is not None
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
        lambda m: replace(
            m, vertices=np.ascontiguousarray(m.vertices[:, [1, 2, 0]]) - np.array([0.5, -0.5, 0], np.float32)
        ),
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
    "a normal map of another side": (
        lambda m: with_detail(m, normal_map=plain(96, 128, 128, 255), occlusion=plain(64, 200)),
        {"image_size": "block"},
    ),
    "an occlusion map larger than the base colour": (
        lambda m: with_detail(m, occlusion=plain(256, 200)),
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
    "all in the shade": (lambda m: with_detail(m, occlusion=plain(128, 0)), {"occlusion": "warn"}),
    "tangents of the wrong sign": (
        lambda m: with_detail(m, tangents=tangents(m) * np.array([1, 1, 1, -1], np.float32)),
        {"tangents": "block"},
    ),
    "tangents turned round": (
        lambda m: with_detail(m, tangents=tangents(m) * np.array([-1, -1, -1, -1], np.float32)),
        {"tangents": "block"},
    ),
    "tangents of length 2": (
        lambda m: with_detail(m, tangents=tangents(m) * np.array([2, 2, 2, 1], np.float32)),
        {"tangents": "block"},
    ),
    "tangents along the normals": (
        lambda m: with_detail(m, tangents=np.column_stack((m.normals, tangents(m)[:, 3]))),
        {"tangents": "block"},
    ),
    "a sign of 0": (
        lambda m: with_detail(m, tangents=tangents(m) * np.array([1, 1, 1, 0], np.float32)),
        {"tangents": "block"},
    ),
}


def test_a_sound_level_passes_every_gate(detailed_beacon: TexturedMesh) -> None:
    findings, scores = check_levels([Glb("beacon.glb", written(detailed_beacon))], [LIMITS])

    assert findings == []
    assert 0.4 < scores["uv_coverage_LOD0"] < 1.0
    assert scores["uv_overlap_LOD0"] == 0.0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_its_gates_and_by_no_other(detailed_beacon: TexturedMesh, fault: str) -> None:
    plant, gates = FAULTS[fault]

    with np.errstate(invalid="ignore"):
        findings, _ = check_levels([Glb("beacon.glb", written(plant(detailed_beacon)))], [LIMITS])

    assert {finding.gate: finding.severity for finding in findings} == gates, findings
    assert all(finding.message.startswith("beacon.glb: ") for finding in findings)


def test_too_many_triangles_are_caught(textured_beacon: TexturedMesh) -> None:
    limits = replace(LIMITS, max_triangles=len(textured_beacon.faces) - 1)

    assert blocked_gates(check_levels([Glb("a.glb", written(textured_beacon))], [limits])[0]) == {"triangle_budget"}


def test_a_level_that_stands_is_caught_where_its_middle_should_be_the_origin(textured_beacon: TexturedMesh) -> None:
    limits = replace(LIMITS, pivot="center")

    (finding,) = check_levels([Glb("a.glb", written(textured_beacon))], [limits])[0]

    assert (finding.severity, finding.gate) == ("block", "base_at_origin")
    assert "middle y = 0.5 m" in finding.message


def test_a_level_as_large_as_the_one_before_is_caught(textured_beacon: TexturedMesh) -> None:
    data = written(textured_beacon)

    findings, _ = check_levels([Glb("a.glb", data), Glb("a_LOD1.glb", data)], [LIMITS, LIMITS])

    assert blocked_gates(findings) == {"levels_decreasing"}


@pytest.mark.parametrize(("lift", "gates"), [(0.0005, []), (-0.002, ["same_ground"]), (0.002, ["same_ground"])])
def test_a_coarser_level_on_another_ground_is_warned_of(
    textured_beacon: TexturedMesh, lift: float, gates: list[str]
) -> None:
    other = replace(textured_beacon, vertices=textured_beacon.vertices + np.array([0, lift, 0], np.float32))
    levels = [Glb("a.glb", written(textured_beacon)), Glb("a_LOD1.glb", written(other))]

    findings, _ = check_levels(levels, [LIMITS, LIMITS])

    assert [finding.gate for finding in findings if finding.severity == "warn"] == gates


def test_a_texture_with_broken_data_is_caught(textured_beacon: TexturedMesh) -> None:
    data = bytearray(written(textured_beacon))
    start = data.index(b"\x89PNG")
    data[start + 200 :] = bytes(len(data) - start - 200)

    assert blocked_gates(check_levels([Glb("a.glb", bytes(data))], [LIMITS])[0]) == {"image_decodes"}


def test_a_picture_of_another_mode_is_caught(detailed_beacon: TexturedMesh) -> None:
    document, binary = split_glb(written(detailed_beacon))
    translucent = encode_png(np.full((128, 128, 4), 90, np.uint8))
    document["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(translucent)})
    document["images"][0]["bufferView"] = len(document["bufferViews"]) - 1
    data = join_glb(canonical_json(document), binary + translucent + bytes(-len(translucent) % 4))

    ((finding,), _) = check_levels([Glb("a.glb", data)], [LIMITS])

    assert (finding.severity, finding.gate) == ("block", "image_decodes")
    assert "mode RGBA" in finding.message


def test_a_file_cut_short_is_unreadable(textured_beacon: TexturedMesh) -> None:
    assert blocked_gates(check_levels([Glb("a.glb", written(textured_beacon)[:-100])], [LIMITS])[0]) == {"readable"}


def test_pictures_count_on_a_gpu_as_four_bytes_a_texel_and_a_third_more_for_mip_levels(
    textured_beacon: TexturedMesh, detailed_beacon: TexturedMesh
) -> None:
    plain_level, detailed = Glb("a.glb", written(textured_beacon)), Glb("b.glb", written(detailed_beacon))

    with_mips = sum(4 * side_px**2 for side_px in (128, 64, 32, 16, 8, 4, 2, 1))
    assert with_mips == pytest.approx(128 * 128 * 4 * 4 / 3, rel=1e-4)
    assert texture_gpu_bytes([plain_level]) == with_mips
    assert texture_gpu_bytes([detailed]) == 3 * with_mips
    assert texture_gpu_bytes([plain_level, plain_level]) == texture_gpu_bytes([plain_level])
