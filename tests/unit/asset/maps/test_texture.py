"""The atlas is a real one, its maker can be killed, and colours land where the field has them."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dreamfoundry.asset.gates.maps.lightmap import smallest_gap
from dreamfoundry.asset.maps.charts import chart_figures
from dreamfoundry.asset.maps.rasterize import rasterize, sample_texture
from dreamfoundry.asset.maps.tangents import vertex_normals
from dreamfoundry.asset.maps.texture import chart_texels, sample_grid, surface_colors, textured
from dreamfoundry.asset.maps.unwrap import Atlas, padding_px, unwrap
from dreamfoundry.asset.surface.decimate import decimate
from dreamfoundry.asset.surface.isosurface import choose_isovalue, extract_surface
from dreamfoundry.errors import ExportTimeout, SurfaceFailed
from dreamfoundry.records import FieldSnapshot, Surface, TexturedMesh


def test_charts_do_not_overlap_and_stay_in_the_texture(beacon_surface: Surface) -> None:
    atlas = unwrap(beacon_surface, 256, 60.0)

    assert atlas.uvs.min() >= 0.0
    assert atlas.uvs.max() <= 1.0
    np.testing.assert_array_equal(atlas.source[atlas.faces], beacon_surface.faces)
    corners = atlas.uvs[atlas.faces].astype(np.float64)
    sides = corners[:, 1:] - corners[:, :1]
    total_area = 0.5 * np.abs(np.linalg.det(sides)).sum() * 256**2
    on_texture = np.column_stack((atlas.uvs.astype(np.float64) * 256, np.ones(len(atlas.uvs))))
    covered = len(rasterize(on_texture, atlas.faces, 256).pixel)
    assert covered == pytest.approx(total_area, rel=0.05)
    assert covered > 0.35 * 256**2


def test_an_unwrap_that_takes_too_long_is_killed(torus_surface: Surface) -> None:
    with pytest.raises(ExportTimeout, match=r"unwrap_limit_s = 0\.05 s"):
        unwrap(torus_surface, 256, 0.05)


def test_a_crash_of_the_child_is_a_failure_of_the_prompt() -> None:
    broken = Surface(np.zeros((3, 3), np.float32), np.array([(0, 1, 99)], np.uint32))

    with pytest.raises(SurfaceFailed, match="unwrap of 1 triangles: exit status"):
        unwrap(broken, 256, 60.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")
def test_the_child_ends_with_a_parent_that_is_killed() -> None:
    """The grandchild waits for input that never comes; it must not outlive its killed parent."""
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'dreamfoundry.asset.maps.unwrap', str(os.getpid())],"
        " stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = str(Path(__file__).parents[4] / "pipeline")
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.5)

    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    deadline = time.monotonic() + 20.0
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_red_ball_has_a_red_texture_in_every_texel(ball_snapshot: FieldSnapshot, snapshots: ModuleType) -> None:
    isovalue = choose_isovalue(ball_snapshot).density
    surface = decimate(extract_surface(ball_snapshot, isovalue)[0], 300)

    mesh = textured(surface, unwrap(surface, 64, 60.0), surface_colors(ball_snapshot, isovalue), 1.0, 64)

    assert (mesh.base_color == np.round(snapshots.RED * 255)).all()


def test_each_vertex_finds_the_colour_of_its_place(
    textured_beacon: TexturedMesh, beacon_surface: Surface, snapshots: ModuleType
) -> None:
    """Vertices well inside a part of the beacon, read through their texture coordinates."""
    scene = textured_beacon.vertices * np.ptp(beacon_surface.vertices[:, 1])
    scene[:, 0] += 0.5 * (beacon_surface.vertices[:, 0].max() + beacon_surface.vertices[:, 0].min())
    scene[:, 1] += beacon_surface.vertices[:, 1].min()
    scene[:, 2] += 0.5 * (beacon_surface.vertices[:, 2].max() + beacon_surface.vertices[:, 2].min())
    expected = snapshots.beacon(scene)[1]
    uniform = np.all(
        [
            np.abs(snapshots.beacon(scene + 0.06 * np.array(step))[1] - expected).max(axis=1) == 0
            for step in np.vstack((np.eye(3), -np.eye(3)))
        ],
        axis=0,
    )

    found = sample_texture(textured_beacon.base_color, textured_beacon.uvs)

    assert uniform.sum() > 100
    assert np.abs(found - expected)[uniform].mean() < 0.02
    assert (np.abs(found - expected)[uniform].max(axis=1) < 0.1).mean() > 0.98


def test_grid_colours_are_interpolated_between_their_vertices() -> None:
    axis = np.arange(5, dtype=np.uint8) * 40
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)

    found = sample_grid(grid, np.array([(-2.0, 0.0, 2.0), (0.5, -0.25, 1.0), (9.0, 0.0, 0.0)]), 2.0)

    np.testing.assert_array_equal(found, [(0, 80, 160), (100, 70, 120), (160, 80, 80)])


def test_colours_from_inside_the_object_never_reach_its_surface(ball_snapshot: FieldSnapshot) -> None:
    axis = np.linspace(-1.0, 1.0, 32)
    radius = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1), axis=-1)
    albedo = ball_snapshot.albedo.copy()
    albedo[radius < 0.35] = (0, 0, 255)
    albedo[radius > 0.65] = (0, 255, 0)

    colors = surface_colors(
        FieldSnapshot(**{**vars(ball_snapshot), "albedo": albedo}), choose_isovalue(ball_snapshot).density
    )

    assert (colors == ball_snapshot.albedo).all()


def test_normals_point_outwards_with_length_one(ball_snapshot: FieldSnapshot) -> None:
    surface, _ = extract_surface(ball_snapshot, choose_isovalue(ball_snapshot).density)

    normals = vertex_normals(surface)

    outwards = surface.vertices / np.linalg.norm(surface.vertices, axis=1, keepdims=True)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (normals * outwards).sum(axis=1).min() > 0.95


def test_a_vertex_whose_faces_cancel_still_has_a_normal() -> None:
    folded = Surface(
        np.array([(0, 0, 0), (1, 0, 0), (0, 0, 1)], np.float32), np.array([(0, 1, 2), (0, 2, 1)], np.uint32)
    )

    normals = vertex_normals(folded)

    assert np.abs(normals[:, 1]) == pytest.approx(1.0)


@pytest.mark.parametrize(("texture_px", "expected"), [(64, 2), (128, 2), (256, 4), (512, 4), (1024, 8), (2048, 16)])
def test_padding_grows_with_the_texture(texture_px: int, expected: int) -> None:
    assert padding_px(texture_px) == expected


@pytest.mark.parametrize("texture_px", [64, 256, 2048])
def test_charts_lie_as_far_apart_as_their_padding(beacon_surface: Surface, texture_px: int) -> None:
    atlas = unwrap(beacon_surface, texture_px, 60.0)

    measured_px = min(texture_px, 256)
    gap_px = smallest_gap(atlas.uvs, atlas.faces, measured_px) * texture_px / measured_px
    assert gap_px >= 2 * padding_px(texture_px)


def test_tiny_triangles_keep_their_area(beacon_surface: Surface) -> None:
    """xatlas itself gives up on areas below 1e-7."""
    tiny = replace(beacon_surface, vertices=beacon_surface.vertices * np.float32(1e-3))

    assert chart_figures(unwrap(tiny, 256, 60.0).uvs, unwrap(tiny, 256, 60.0).faces).num_flat == 0


def test_a_texture_is_the_same_on_both_sides_of_a_seam(textured_beacon: TexturedMesh) -> None:
    """A chart goes on beyond its edge as the other one begins."""
    picture = sample_texture(textured_beacon.base_color, textured_beacon.uvs)
    place = np.unique(textured_beacon.vertices, axis=0, return_inverse=True)[1].reshape(-1)

    spread = np.array([np.ptp(picture[place == one], axis=0).max() for one in range(int(place.max()) + 1)])

    assert spread.mean() < 0.002
    assert (spread < 0.02).mean() > 0.97


def test_texels_beyond_an_edge_continue_the_plane_of_their_triangle() -> None:
    """A square chart in the middle, of a surface whose colour is its x: the colour goes on to both sides."""
    corners = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], np.float32)
    uvs = (corners[:, :2] * (0.25, -0.25) + 0.5).astype(np.float32)
    faces = np.array([(0, 1, 2), (0, 2, 3)], np.uint32)
    texels = chart_texels(Atlas(np.arange(4, dtype=np.uint32), faces, uvs), 64)

    places = texels.continued(texels.fragments.interpolate(corners, faces), corners, faces)

    row, column = np.divmod(texels.beyond.pixel, 64)
    expected = np.stack(((column + 0.5) / 16.0 - 2.0, 2.0 - (row + 0.5) / 16.0, 0.0 * row), axis=1)
    assert len(places) == 64 * 64 - 32 * 32 - np.sum(np.hypot(*np.mgrid[1:17, 1:17]) > 16) * 4
    assert np.abs(places - expected).max() < 1e-6
