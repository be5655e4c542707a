"""Planted faults of the second set of coordinates are found, and a gap is measured as it is."""

from dataclasses import replace

import numpy as np
import pytest

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.gates.maps.lightmap import LIGHTMAP, smallest_gap
from dreamfoundry.asset.maps.unwrap import unwrap
from dreamfoundry.records import Finding, Surface, TexturedMesh
from support.beacon_asset import METADATA, PROFILE

LIGHTMAP_PX = 64


@pytest.fixture(scope="module")
def lit(textured_beacon: TexturedMesh, beacon_surface: Surface) -> TexturedMesh:
    atlas = unwrap(beacon_surface, 128, 60.0, LIGHTMAP_PX)
    np.testing.assert_array_equal(atlas.faces, textured_beacon.faces)  # a second layout adds no vertex
    return replace(textured_beacon, lightmap_uvs=atlas.lightmap_uvs, lightmap_px=LIGHTMAP_PX)


def checked(mesh: TexturedMesh, lightmap_px: int = LIGHTMAP_PX) -> tuple[list[Finding], dict[str, float]]:
    data = write_glb(mesh, slug="beacon", level=0, metadata=METADATA, copyright_text="nobody")
    profile = replace(PROFILE, lightmap_px=lightmap_px)
    found = LIGHTMAP.run(AssetDraft("beacon", profile, 1.0, METADATA, (Glb("beacon.glb", data),)))
    return list(found.findings), dict(found.scores)


def test_a_sound_layout_has_no_finding(lit: TexturedMesh) -> None:
    findings, scores = checked(lit)

    assert findings == []
    assert 0.1 < scores["lightmap_coverage_LOD0"] < 0.8


def test_nothing_is_asked_where_no_lightmap_is_ordered(textured_beacon: TexturedMesh) -> None:
    assert checked(textured_beacon, 0) == ([], {})


def test_a_level_without_a_second_set_or_for_another_size_is_refused(
    textured_beacon: TexturedMesh, lit: TexturedMesh
) -> None:
    (absent,), _ = checked(textured_beacon)
    (another,), _ = checked(lit, 128)

    assert (absent.severity, absent.gate) == (another.severity, another.gate) == ("block", "lightmap")
    assert "has no TEXCOORD_1" in absent.message
    assert "says lightmap_px = 64: must be packed for lightmap_px = 128" in another.message


def test_charts_on_each_other_are_refused(lit: TexturedMesh) -> None:
    assert lit.lightmap_uvs is not None
    (finding,), _ = checked(replace(lit, lightmap_uvs=(lit.lightmap_uvs % np.float32(0.4))))

    assert (finding.severity, finding.gate) == ("block", "lightmap")
    assert "belong to several triangles" in finding.message


def test_coordinates_outside_are_refused(lit: TexturedMesh) -> None:
    assert lit.lightmap_uvs is not None
    (finding,), _ = checked(replace(lit, lightmap_uvs=lit.lightmap_uvs + np.float32(0.5)))

    assert "outside of [0, 1]" in finding.message


def test_charts_too_close_for_the_size_are_warned_of(lit: TexturedMesh) -> None:
    assert lit.lightmap_uvs is not None
    (finding,), _ = checked(replace(lit, lightmap_uvs=lit.lightmap_uvs * np.float32(0.4)))

    assert (finding.severity, finding.gate) == ("warn", "lightmap")
    assert "texels apart on 64 px: should be 2" in finding.message


@pytest.mark.parametrize("gap", [0.5, 1.0, 3.25])
def test_the_gap_between_two_squares_is_found(gap: float) -> None:
    square = np.array([(4, 4), (12, 4), (12, 12), (4, 12)], float)
    uvs = (np.concatenate((square, square + np.array((8.0 + gap, 1.0)))) / 32.0).astype(np.float32)
    faces = np.array([(0, 1, 2), (0, 2, 3), (4, 5, 6), (4, 6, 7)], np.uint32)

    assert smallest_gap(uvs, faces, 32) == pytest.approx(gap, abs=0.25)


def test_one_chart_has_no_gap() -> None:
    assert smallest_gap(np.array([(0, 0), (1, 0), (0, 1)], np.float32), np.array([(0, 1, 2)], np.uint32), 32) == np.inf
