"""A profile gets the files that it orders, and no others."""

import importlib.util
import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.errors import ConfigError
from dreamfoundry.records import FieldSnapshot
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.loading import resolve_profile
from support.beacon_asset import METADATA, PROFILE, PROMPT


def test_a_red_ball_has_a_red_thumbnail(ball_snapshot: FieldSnapshot) -> None:
    profile = ExportProfile("tiny", (300,), (64,), thumbnail_px=48)

    bundle = export_asset(ball_snapshot, replace(PROMPT, text="ball"), profile=profile, metadata=METADATA)

    assert "turntable.webp" not in bundle.files
    picture = np.asarray(Image.open(io.BytesIO(bundle.files["thumbnail.png"]))).astype(int)
    shown = picture[picture[..., 3] == 255]
    assert len(shown) > 500
    assert (shown[:, 0] > 3 * np.maximum(shown[:, 1], shown[:, 2])).all()
    assert [finding.gate for finding in bundle.findings if finding.severity == "warn"] == ["base_color_varies"]


def test_the_dense_surface_is_delivered_where_the_profile_orders_it(beacon_snapshot: FieldSnapshot) -> None:
    profile = replace(PROFILE, triangles=(300,), texture_px=(64,), turntable_frames=0, dense=True)

    bundle = export_asset(beacon_snapshot, PROMPT, profile=profile, metadata=METADATA)

    level, dense = (read_glb(bundle.files[f"a_beacon_gray_aaaaaaaa{end}.glb"]) for end in ("", "_dense"))
    assert len(level.faces) <= 300 < 3000 < len(dense.faces)
    assert dense.colors is not None
    assert dense.document["nodes"][0]["name"] == "a_beacon_gray_aaaaaaaa_dense"
    assert np.ptp(dense.vertices, axis=0) == pytest.approx(np.ptp(level.vertices, axis=0), rel=0.02)
    entry = json.loads(bundle.files["asset.json"])["files"]["a_beacon_gray_aaaaaaaa_dense.glb"]
    assert entry["triangles"] == len(dense.faces)
    # round edges in so few triangles are strips of slivers
    assert {finding.gate for finding in bundle.findings if finding.severity != "not_run"} == {"slivers"}


def test_a_profile_that_orders_usd_gets_it_or_hears_that_it_was_not_made(beacon_snapshot: FieldSnapshot) -> None:
    profile = replace(PROFILE, usdz=True, turntable_frames=0)

    bundle = export_asset(beacon_snapshot, PROMPT, profile=profile, metadata=METADATA)

    gates = json.loads(bundle.files["asset.json"])["gates"]
    if importlib.util.find_spec("pxr") is None:
        assert "a_beacon_gray_aaaaaaaa.usdz" not in bundle.files
        assert gates["usd"] == "not_run"
    else:
        assert bundle.files["a_beacon_gray_aaaaaaaa.usdz"].startswith(b"PK")
        assert gates["usd"] == "passed"


def test_a_profile_that_orders_bundles_gets_one_per_engine(ball_snapshot: FieldSnapshot) -> None:
    profile = ExportProfile("tiny", (300,), (64,), thumbnail_px=48, engine_bundles=True)

    bundle = export_asset(ball_snapshot, PROMPT, profile=profile, metadata=METADATA)

    files = json.loads(bundle.files["asset.json"])["files"]
    for engine in ("unreal", "godot"):
        assert files[f"a_beacon_gray_aaaaaaaa_{engine}.glb"]["meshes"] == 2
        assert b"KHR_xmp_json_ld" in bundle.files[f"a_beacon_gray_aaaaaaaa_{engine}.glb"]


def test_a_bundle_without_hulls_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine_bundles.*collision_hulls"):
        ExportProfile("tiny", (300,), (64,), collision_hulls=0, engine_bundles=True)


def test_a_profile_without_hulls_has_no_file_of_them(ball_snapshot: FieldSnapshot) -> None:
    profile = ExportProfile("tiny", (300,), (64,), thumbnail_px=48, collision_hulls=0)

    bundle = export_asset(ball_snapshot, PROMPT, profile=profile, metadata=METADATA)

    assert not any("collision" in name for name in bundle.files)
    assert json.loads(bundle.files["asset.json"])["gates"]["collision_hull"] == "not_run"


@pytest.mark.parametrize(("surface_error", "triangles"), [(1e-5, [998, 310]), (0.0, [1000, 420, 310])])
def test_a_level_as_good_as_a_coarser_one_is_left_out_unless_whole_budgets_are_ordered(
    beacon_snapshot: FieldSnapshot, surface_error: float, triangles: list[int]
) -> None:
    profile = replace(
        PROFILE, triangles=(1000, 420, 310), texture_px=(128, 128, 64), surface_error=surface_error, turntable_frames=0
    )

    bundle = export_asset(beacon_snapshot, PROMPT, profile=profile, metadata=METADATA)

    files = json.loads(bundle.files["asset.json"])["files"]
    levels = {entry["level"]: entry for entry in files.values() if entry["role"] == "level"}
    assert [levels[number]["triangles"] for number in sorted(levels)] == triangles
    assert levels[1]["textures_px"]["T_a_beacon_gray_aaaaaaaa_LOD1_BC"] == [128, 128]  # of the place that it takes
    assert all(finer > coarser for finer, coarser in pairwise(levels[n]["screen_px"] for n in sorted(levels)))
    assert "level_iou_LOD2" in bundle.scores or surface_error


def test_a_pivot_in_the_middle_puts_the_middle_of_the_box_at_the_origin(beacon_snapshot: FieldSnapshot) -> None:
    profile = replace(PROFILE, turntable_frames=0, pivot="center")

    bundle = export_asset(beacon_snapshot, PROMPT, profile=profile, metadata=METADATA)

    vertices = read_glb(bundle.files["a_beacon_gray_aaaaaaaa.glb"]).vertices
    assert vertices.min(axis=0) + vertices.max(axis=0) == pytest.approx(0.0, abs=1e-6)
    assert np.ptp(vertices[:, 1]) == pytest.approx(PROMPT.target_height_m, rel=1e-5)


def test_a_file_for_browsers_can_be_ordered_from_a_profile_of_a_studio(
    beacon_snapshot: FieldSnapshot, tmp_path: Path
) -> None:
    order = tmp_path / "shop.toml"
    order.write_text("triangles = [400]\ntexture_px = [64]\nweb = true\nthumbnail_px = 64\nturntable_frames = 0\n")

    bundle = export_asset(beacon_snapshot, PROMPT, profile=resolve_profile(str(order)), metadata=METADATA)

    gates = json.loads(bundle.files["asset.json"])["gates"]
    assert ("a_beacon_gray_aaaaaaaa_web.glb" in bundle.files) == (gates["web"] == "passed")
    assert len(read_glb(bundle.files["a_beacon_gray_aaaaaaaa.glb"]).faces) <= 400


def test_the_sidecar_tells_the_sets_of_coordinates_and_what_the_second_is_for(beacon_snapshot: FieldSnapshot) -> None:
    profile = replace(PROFILE, turntable_frames=0, lightmap_px=64)

    bundle = export_asset(beacon_snapshot, PROMPT, profile=profile, metadata=METADATA)

    files = json.loads(bundle.files["asset.json"])["files"]
    level, hulls = (files[f"a_beacon_gray_aaaaaaaa{end}.glb"] for end in ("_LOD1", "_collision"))
    assert (level["uv_sets"], level["lightmap_px"]) == (2, 64)
    assert (hulls["uv_sets"], "lightmap_px" in hulls) == (0, False)
