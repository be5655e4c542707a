"""From field to surface: the right size, the right way out, in one piece, or a clear refusal."""

import dataclasses
from collections.abc import Callable

import manifold3d
import numpy as np
import pytest
import trimesh
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from dreamfoundry.asset.gates.scores import silhouette_iou
from dreamfoundry.asset.surface.isosurface import (
    _largest_solid,
    _level_of,
    _level_set,
    _voxel_opacity,
    choose_isovalue,
    extract_surface,
)
from dreamfoundry.errors import EmptyField, FullField, PromptFailure, SurfaceFailed
from dreamfoundry.records import FieldSnapshot, Surface


def as_trimesh(surface: Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def test_a_ball_comes_out_with_its_radius_closed_and_turned_outwards(ball_snapshot: FieldSnapshot) -> None:
    surface, share = extract_surface(ball_snapshot, choose_isovalue(ball_snapshot).density)

    mesh = as_trimesh(surface)
    radii = np.linalg.norm(surface.vertices, axis=1)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert radii.mean() == pytest.approx(0.5, abs=2 / 31)  # a voxel
    assert np.ptp(radii) < 0.03
    assert share == pytest.approx(1.0)


def test_axes_are_x_y_z(beacon_snapshot: FieldSnapshot) -> None:
    surface, _ = extract_surface(beacon_snapshot, choose_isovalue(beacon_snapshot).density)

    assert surface.vertices.max(axis=0) == pytest.approx([0.7, 0.5, 0.6], abs=0.06)
    assert surface.vertices.min(axis=0) == pytest.approx([-0.3, -0.5, -0.3], abs=0.06)


def test_the_silhouette_of_the_search_is_that_of_the_mesh(torus_snapshot: FieldSnapshot) -> None:
    """As marching cubes leaves it; relaxed it differs by a pixel here and there."""
    isovalue = choose_isovalue(torus_snapshot)
    level = _level_of(isovalue.density, torus_snapshot)
    raw, _ = _level_set(_voxel_opacity(torus_snapshot), level, torus_snapshot)
    relaxed, _ = extract_surface(torus_snapshot, isovalue.density)

    assert isovalue.silhouette_iou > 0.97
    assert silhouette_iou(torus_snapshot, raw) == pytest.approx(isovalue.silhouette_iou, abs=0.01)
    assert silhouette_iou(torus_snapshot, relaxed) == pytest.approx(isovalue.silhouette_iou, abs=0.03)


def test_a_field_with_other_densities_gets_another_isovalue_and_the_same_surface(
    torus_snapshot: FieldSnapshot,
) -> None:
    """Ten times the density in a field of a tenth the size looks the same in every picture."""
    poses = torus_snapshot.camera_to_world.copy()
    poses[:, :3, 3] *= 0.1
    small = dataclasses.replace(
        torus_snapshot, bound=0.1, density=torus_snapshot.density * np.float16(10), camera_to_world=poses
    )

    large_surface, _ = extract_surface(torus_snapshot, choose_isovalue(torus_snapshot).density)
    small_surface, _ = extract_surface(small, choose_isovalue(small).density)

    assert small_surface.vertices.max(axis=0) == pytest.approx(0.1 * large_surface.vertices.max(axis=0), rel=0.03)


def test_floaters_and_cavities_are_left_out(make_snapshot: Callable[..., FieldSnapshot]) -> None:
    def hollow_with_floater(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        radius = np.linalg.norm(points, axis=1)
        shell = np.maximum(radius - 0.5, 0.25 - radius)
        floater = np.linalg.norm(points - (0.75, 0.0, 0.0), axis=1) - 0.1
        return np.minimum(shell, floater), np.full((len(points), 3), 0.5)

    snapshot = make_snapshot(hollow_with_floater, resolution=48)
    surface, share = extract_surface(snapshot, choose_isovalue(snapshot).density)

    mesh = as_trimesh(surface)
    assert mesh.body_count == 1
    assert np.linalg.norm(surface.vertices, axis=1).min() > 0.4
    assert 0.9 < share < 0.99


def test_a_faint_neck_holds_both_ends_together(make_snapshot: Callable[..., FieldSnapshot]) -> None:
    def lamp(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shade, foot = (np.linalg.norm(points - (0.0, y, 0.0), axis=1) - 0.3 for y in (0.5, -0.5))
        in_neck = (np.hypot(points[:, 0], points[:, 2]) < 0.08) & (np.abs(points[:, 1]) < 0.4)
        faint = np.where(in_neck, 0.7 / 48, 1.0)  # outside by less than a voxel: a twentieth of the density
        return np.minimum(np.minimum(shade, foot), faint), np.full((len(points), 3), 0.5)

    snapshot = make_snapshot(lamp, resolution=48)
    surface, share = extract_surface(snapshot, choose_isovalue(snapshot).density)

    assert as_trimesh(surface).body_count == 1
    assert share == pytest.approx(1.0)
    assert np.ptp(surface.vertices[:, 1]) == pytest.approx(1.6, abs=0.1)


def test_an_object_cut_by_the_border_of_the_grid_is_closed_there(
    make_snapshot: Callable[..., FieldSnapshot],
) -> None:
    def pillar(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.hypot(points[:, 0], points[:, 2]) - 0.3, np.full((len(points), 3), 0.5)

    snapshot = make_snapshot(pillar, resolution=24)

    surface, _ = extract_surface(snapshot, choose_isovalue(snapshot).density)
    assert as_trimesh(surface).is_watertight


def test_the_component_is_the_one_that_manifold3d_finds_in_its_own_slow_way() -> None:
    """Noise: dozens of solids and of cavities, which touch here and there."""
    noise = np.random.default_rng(0).random((32, 32, 32)) < 0.4
    smooth = gaussian_filter(np.pad(noise.astype(np.float32), 3), 0.6)
    vertices, triangles, _, _ = marching_cubes(smooth, level=0.3, gradient_direction="ascent")
    positions, faces = vertices.astype(np.float32), triangles.astype(np.uint32)

    surface, share = _largest_solid(positions, faces)

    bodies = manifold3d.Manifold(manifold3d.Mesh(positions, faces)).decompose()
    solids = [body for body in bodies if body.volume() > 0.0]
    areas = [body.surface_area() for body in solids]
    largest = solids[int(np.argmax(areas))].to_mesh()
    assert len(bodies) > len(solids) > 20
    assert np.array_equal(surface.vertices, largest.vert_properties[:, :3])
    assert np.array_equal(surface.faces, largest.tri_verts)
    assert share == pytest.approx(max(areas) / sum(areas), rel=1e-5)


HOSTILE: dict[str, tuple[Callable[[np.ndarray], np.ndarray], type[PromptFailure], str]] = {
    "empty": (lambda density: density * 0, EmptyField, "vanished"),
    "negative": (lambda density: -density - 1, EmptyField, "vanished"),
    "full": (lambda density: density * 0 + 80, FullField, "cube"),
    "not a number": (lambda density: np.where(density > 40, np.nan, density), SurfaceFailed, "not a number"),
    "unlike its pictures": (lambda density: np.pad(density[:6, :6, :6] * 0 + 80, (1, 25)), SurfaceFailed, "disagree"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_field_is_refused_by_class(ball_snapshot: FieldSnapshot, name: str) -> None:
    spoil, error, words = HOSTILE[name]
    snapshot = dataclasses.replace(ball_snapshot, density=spoil(ball_snapshot.density).astype(np.float16))

    with pytest.raises(error, match=words):
        extract_surface(snapshot, choose_isovalue(snapshot).density)


def test_pictures_that_show_nothing_are_an_empty_field(ball_snapshot: FieldSnapshot) -> None:
    snapshot = dataclasses.replace(ball_snapshot, view_opacity=ball_snapshot.view_opacity // 3)

    with pytest.raises(EmptyField, match="half opaque"):
        choose_isovalue(snapshot)


def test_a_density_beyond_float16_still_makes_a_surface(ball_snapshot: FieldSnapshot) -> None:
    density = np.where(ball_snapshot.density > 40, np.inf, ball_snapshot.density).astype(np.float16)
    snapshot = dataclasses.replace(ball_snapshot, density=density)

    surface, _ = extract_surface(snapshot, choose_isovalue(snapshot).density)
    assert np.isfinite(surface.vertices).all()
