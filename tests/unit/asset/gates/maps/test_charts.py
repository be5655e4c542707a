"""Planted faults of an atlas are found, and a seam is compared as a slow reader of texels compares it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.gates.maps.charts import CHARTS, compared_mip, seam_jumps
from dreamfoundry.records import Finding, TexturedMesh
from dreamfoundry.settings.export_profiles import ExportProfile
from support.beacon_asset import METADATA, PROFILE


def checked(mesh: TexturedMesh, profile: ExportProfile = PROFILE) -> tuple[list[Finding], dict[str, float]]:
    data = write_glb(mesh, slug="beacon", level=0, metadata=METADATA, copyright_text="nobody")
    found = CHARTS.run(AssetDraft("beacon", profile, 1.0, METADATA, (Glb("beacon.glb", data),)))
    return list(found.findings), dict(found.scores)


def shattered(mesh: TexturedMesh) -> TexturedMesh:
    """Every triangle a chart of its own."""
    corner = mesh.faces.reshape(-1)
    return replace(
        mesh,
        detail=None,
        vertices=mesh.vertices[corner],
        normals=mesh.normals[corner],
        uvs=mesh.uvs[corner],
        faces=np.arange(len(corner), dtype=np.uint32).reshape(-1, 3),
    )


def test_a_sound_atlas_has_no_finding_and_four_scores(textured_beacon: TexturedMesh) -> None:
    findings, scores = checked(textured_beacon)

    assert findings == []
    assert 1 <= scores["charts_LOD0"] <= 100
    assert scores["small_chart_share_LOD0"] <= 0.2
    assert scores["flat_uv_triangles_LOD0"] == 0
    assert 0.0 < scores["seam_jump_mip3_LOD0"] < 255.0


def test_a_shattered_atlas_is_found_twice(textured_beacon: TexturedMesh) -> None:
    findings, scores = checked(shattered(textured_beacon))

    assert [(finding.severity, finding.gate) for finding in findings] == [("warn", "charts")] * 2
    assert findings[0].message.startswith("beacon.glb: ")
    assert "max_charts = 100" in findings[0].message
    assert "100% of the charts have one or two triangles" in findings[1].message
    assert scores["charts_LOD0"] == len(textured_beacon.faces)


def test_the_profile_says_how_many_charts_are_too_many(textured_beacon: TexturedMesh) -> None:
    findings, _ = checked(textured_beacon, replace(PROFILE, max_charts=1))

    assert [finding.gate for finding in findings] == ["charts"]


def test_a_triangle_without_area_is_found(textured_beacon: TexturedMesh) -> None:
    uvs = textured_beacon.uvs.copy()
    one, other, _ = textured_beacon.faces[0]
    uvs[one] = uvs[other]

    findings, scores = checked(replace(textured_beacon, uvs=uvs))

    assert "uv_area" in {finding.gate for finding in findings}
    assert scores["flat_uv_triangles_LOD0"] >= 1


def test_a_seam_that_shows_is_found(textured_beacon: TexturedMesh) -> None:
    """Charts without padding on a chequered ground: what lies beside one has nothing to do with its neighbour."""
    chequered = (np.indices((128, 128)).sum(axis=0) // 16 % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)

    findings, _ = checked(replace(textured_beacon, base_color=chequered))

    assert [finding.gate for finding in findings] == ["seam_jump"]
    assert "at 32 px: should be at most 5" in findings[0].message


@pytest.mark.parametrize(
    ("number", "texture_px", "picture_px", "compared_px"),
    [
        (0, 1024, 1024, 128),  # the finest may be all that is shown
        (1, 512, 512, 128),
        (3, 128, 128, 32),
        (3, 128, 1024, 32),  # with the picture of the finest
        (0, 64, 64, 32),
        (1, 64, 64, 32),
    ],
)
def test_a_level_is_compared_at_the_smallest_size_at_which_it_is_shown(
    number: int, texture_px: int, picture_px: int, compared_px: int
) -> None:
    assert picture_px >> compared_mip(number, texture_px, picture_px) == compared_px


def test_a_seam_that_shows_on_a_coarser_level_is_found(textured_beacon: TexturedMesh) -> None:
    plain = replace(textured_beacon, base_color=np.full((128, 128, 3), 90, np.uint8))
    halves = np.zeros((128, 128, 3), np.uint8)
    halves[:, 64:] = 255
    levels = [plain, replace(textured_beacon, base_color=halves)]
    files = [
        write_glb(mesh, slug="a", level=n, metadata=METADATA, copyright_text="nobody") for n, mesh in enumerate(levels)
    ]
    glbs = (Glb("a.glb", files[0]), Glb("a_LOD1.glb", files[1]))

    found = CHARTS.run(AssetDraft("a", replace(PROFILE, texture_px=(128, 128)), 1.0, METADATA, glbs))

    assert [(finding.gate, finding.message.split(":")[0]) for finding in found.findings] == [
        ("seam_jump", "a_LOD1.glb")
    ]


def test_one_colour_has_no_seam(textured_beacon: TexturedMesh) -> None:
    plain = np.full((128, 128, 3), 90, np.uint8)

    assert checked(replace(textured_beacon, base_color=plain))[1]["seam_jump_mip3_LOD0"] == 0.0


def test_jumps_are_those_of_a_reader_that_takes_one_vertex_at_a_time(textured_beacon: TexturedMesh) -> None:
    data = write_glb(textured_beacon, slug="beacon", level=0, metadata=METADATA, copyright_text="nobody")

    found = seam_jumps(Glb("beacon.glb", data).mesh, (0, 2))

    for jump, mip in zip(found, (0, 2), strict=True):
        blocks = textured_beacon.base_color.astype(np.float64)
        side = 128 >> mip
        blocks = blocks.reshape(side, 1 << mip, side, 1 << mip, 3).mean(axis=(1, 3))
        by_place: dict[bytes, list[int]] = {}
        for number, place in enumerate(textured_beacon.vertices):
            by_place.setdefault(place.tobytes(), []).append(number)
        jumps = [
            np.abs(bilinear(blocks, textured_beacon.uvs[one]) - bilinear(blocks, textured_beacon.uvs[other])).max()
            for numbers in by_place.values()
            for one, other in pairwise(numbers)
        ]
        assert jump == pytest.approx(np.mean(jumps), abs=0.01)


def bilinear(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    side = len(picture)
    x, y = (np.clip(float(value) * side - 0.5, 0, side - 1) for value in uv)
    left, top = int(x), int(y)
    right, low = min(left + 1, side - 1), min(top + 1, side - 1)
    upper = picture[top, left] * (1 - x + left) + picture[top, right] * (x - left)
    lower = picture[low, left] * (1 - x + left) + picture[low, right] * (x - left)
    return upper * (1 - y + top) + lower * (y - top)
