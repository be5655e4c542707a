"""Scores move the right way when the asset gets worse."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.gates.scores import (
    diversity,
    enclosed_share_of_box,
    flatness_ratio,
    level_scores,
    mean_opacity,
    quality_scores,
    saturation_mean,
    silhouette_iou,
    view_color_error_mean,
    views_on_white,
)
from dreamfoundry.asset.maps.texture import colored, surface_colors, textured
from dreamfoundry.asset.maps.unwrap import unwrap
from dreamfoundry.asset.surface.distance import surface_error
from dreamfoundry.asset.surface.isosurface import choose_isovalue
from dreamfoundry.records import FieldSnapshot, Surface, TexturedMesh


def surface_of(mesh: trimesh.Trimesh) -> Surface:
    return Surface(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))


@pytest.fixture(scope="module")
def scene_beacon(beacon_snapshot: FieldSnapshot, beacon_surface: Surface) -> TexturedMesh:
    colors = surface_colors(beacon_snapshot, choose_isovalue(beacon_snapshot).density)
    return textured(beacon_surface, unwrap(beacon_surface, 128, 60.0), colors, beacon_snapshot.bound, 128)


def test_the_mesh_covers_what_the_pictures_show_and_a_shifted_one_does_not(
    beacon_snapshot: FieldSnapshot, beacon_surface: Surface
) -> None:
    shifted = replace(beacon_surface, vertices=beacon_surface.vertices + np.array([0.3, 0, 0], np.float32))

    assert silhouette_iou(beacon_snapshot, beacon_surface) > 0.97
    assert silhouette_iou(beacon_snapshot, shifted) < 0.8


def test_levels_are_compared_with_the_field_and_with_the_first_of_them(
    beacon_snapshot: FieldSnapshot, beacon_surface: Surface
) -> None:
    shifted = replace(beacon_surface, vertices=beacon_surface.vertices + np.array([0.3, 0, 0], np.float32))

    levels = [shifted, beacon_surface]
    scores = level_scores(beacon_snapshot, levels, [surface_error(level, beacon_surface) for level in levels])

    assert scores["silhouette_iou_LOD1"] == silhouette_iou(beacon_snapshot, beacon_surface)
    assert scores["level_iou_LOD0"] == 1.0
    assert scores["level_iou_LOD1"] < 0.8
    assert scores["surface_error_max_LOD1"] < 0.005 < 0.02 < scores["surface_error_max_LOD0"]


def test_the_texture_agrees_with_the_pictures_and_a_mirrored_one_does_not(
    beacon_snapshot: FieldSnapshot, scene_beacon: TexturedMesh
) -> None:
    mirrored = replace(scene_beacon, base_color=np.ascontiguousarray(scene_beacon.base_color[::-1]))

    good, bad = (view_color_error_mean(beacon_snapshot, mesh) for mesh in (scene_beacon, mirrored))

    assert good < 0.03
    assert bad > 2 * good


def test_colours_at_the_vertices_are_judged_like_a_texture(
    beacon_snapshot: FieldSnapshot, beacon_surface: Surface, scene_beacon: TexturedMesh
) -> None:
    colors = surface_colors(beacon_snapshot, choose_isovalue(beacon_snapshot).density)
    mesh = colored(beacon_surface, colors, beacon_snapshot.bound)

    scores = [quality_scores(beacon_snapshot, beacon_surface, one) for one in (mesh, scene_beacon)]

    assert scores[0]["view_color_error_mean"] == pytest.approx(scores[1]["view_color_error_mean"], abs=0.02)
    darker = replace(mesh, colors=0.5 * mesh.colors)
    assert view_color_error_mean(beacon_snapshot, darker) > 2 * scores[0]["view_color_error_mean"]
    gray = replace(mesh, colors=np.full_like(mesh.colors, 0.2))
    assert quality_scores(beacon_snapshot, beacon_surface, gray)["saturation_mean"] == 0.0
    assert scores[0]["saturation_mean"] > 0.0


def test_a_ball_is_not_flat_and_a_plate_is() -> None:
    assert flatness_ratio(surface_of(trimesh.creation.icosphere())) == pytest.approx(1.0, abs=1e-3)
    plate = trimesh.creation.box((1.0, 1.0, 0.02)).subdivide_to_size(0.2)
    assert flatness_ratio(surface_of(plate)) < 0.1


def test_saturation_is_that_of_hsv() -> None:
    assert saturation_mean(np.full((4, 4, 3), 200, np.uint8)) == 0.0
    assert saturation_mean(np.full((4, 4, 3), (255, 0, 0), np.uint8)) == 1.0
    assert saturation_mean(np.full((4, 4, 3), (200, 100, 150), np.uint8)) == pytest.approx(0.5)


def test_a_brick_fills_its_box() -> None:
    assert enclosed_share_of_box(surface_of(trimesh.creation.box((1, 2, 3)))) == pytest.approx(1.0)
    assert enclosed_share_of_box(surface_of(trimesh.creation.icosphere())) == pytest.approx(np.pi / 6, abs=0.02)


def test_mean_opacity_is_a_share(ball_snapshot: FieldSnapshot) -> None:
    opaque = replace(ball_snapshot, view_opacity=np.full_like(ball_snapshot.view_opacity, 255))

    assert mean_opacity(opaque) == 1.0
    assert 0.05 < mean_opacity(ball_snapshot) < 0.5


def test_a_mesh_outside_of_every_picture_has_the_worst_scores(
    make_snapshot: Callable[..., FieldSnapshot], ball_snapshot: FieldSnapshot, scene_beacon: TexturedMesh
) -> None:
    away = scene_beacon.vertices + np.array([0, 50, 0], np.float32)

    scores = quality_scores(ball_snapshot, Surface(away, scene_beacon.faces), replace(scene_beacon, vertices=away))

    assert scores["silhouette_iou"] == 0.0
    assert scores["view_color_error_mean"] == 1.0
    assert all(np.isfinite(value) for value in scores.values())


def uniform(snapshot: FieldSnapshot, level: int, opacity: int = 255) -> FieldSnapshot:
    """`snapshot` with views of one grey level, premultiplied by opacity."""
    premultiplied = round(level * opacity / 255)
    return replace(
        snapshot,
        view_rgb=np.full_like(snapshot.view_rgb, premultiplied),
        view_opacity=np.full_like(snapshot.view_opacity, opacity),
    )


def test_diversity_is_the_mean_difference_over_pairs_of_pictures_on_white(ball_snapshot: FieldSnapshot) -> None:
    black, grey, nothing = uniform(ball_snapshot, 0), uniform(ball_snapshot, 102), uniform(ball_snapshot, 0, 0)

    def between(*snapshots: FieldSnapshot) -> float:
        return diversity([views_on_white(snapshot) for snapshot in snapshots])

    assert between(grey, grey) == 0.0
    assert between(black, nothing) == 1.0  # nothing is white
    assert between(black, grey, nothing) == pytest.approx((0.4 + 1.0 + 0.6) / 3)
    assert between(uniform(ball_snapshot, 0, 51), grey) == pytest.approx(0.4)


def test_diversity_needs_two_results_with_the_same_views() -> None:
    views = np.zeros((4, 8, 8, 3), np.uint8)

    assert diversity([views, views + 255]) == 1.0
    for wrong in ([views], [views, views[:2]]):
        with pytest.raises(ValueError, match="at least two results"):
            diversity(wrong)
