"""Relaxed surfaces are smoother, closed, as large as before, and the same every time."""

from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.surface.isosurface import _level_of, _level_set, _voxel_opacity, choose_isovalue
from dreamfoundry.asset.surface.relax import (
    GRID_SIDE,
    INFLATE,
    OWN_SHARE,
    SHRINK,
    relax,
    relaxed,
    scaled_rounds,
    smooth,
)
from dreamfoundry.asset.surface.triangles import genus, is_closed
from dreamfoundry.records import FieldSnapshot, Surface


def as_trimesh(surface: Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def mean_edge_angle_deg(surface: Surface) -> float:
    return float(np.degrees(as_trimesh(surface).face_adjacency_angles).mean())


def sliver_share(surface: Surface) -> float:
    corners = surface.vertices.astype(np.float64)[surface.faces]
    sides = (np.roll(corners, -1, axis=1) - corners) ** 2
    areas = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return float((4.0 * 3.0**0.5 * areas / sides.sum(axis=(1, 2)) < 0.2).mean())


@pytest.fixture(scope="module")
def raw_torus(torus_snapshot: FieldSnapshot) -> Surface:
    """The ring as marching cubes leaves it."""
    level = _level_of(choose_isovalue(torus_snapshot).density, torus_snapshot)
    return _level_set(_voxel_opacity(torus_snapshot), level, torus_snapshot)[0]


@pytest.fixture(scope="module")
def rough_torus(raw_torus: Surface) -> Surface:
    """The ring with noise of a quarter of a voxel at every vertex."""
    noise = np.random.default_rng(0).normal(0.0, 0.25 * 2.0 / 39, raw_torus.vertices.shape)
    return Surface((raw_torus.vertices + noise).astype(np.float32), raw_torus.faces)


@pytest.mark.parametrize("style", ["plain", "smooth"])
def test_slivers_go_and_volume_box_and_handles_stay(raw_torus: Surface, style: str) -> None:
    after = relaxed(raw_torus, style, 40)  # type: ignore[arg-type]

    assert sliver_share(raw_torus) > 0.05
    assert sliver_share(after) < 0.005
    assert is_closed(after.faces.astype(np.int64), len(after.vertices))
    assert genus(after) == genus(raw_torus) == 1
    assert as_trimesh(after).volume == pytest.approx(as_trimesh(raw_torus).volume, rel=0.03)
    np.testing.assert_allclose(after.vertices.max(axis=0), raw_torus.vertices.max(axis=0), atol=0.5 * 2.0 / 39)


def test_noise_fades_the_more_the_smoother_the_style(rough_torus: Surface, raw_torus: Surface) -> None:
    angles = [
        mean_edge_angle_deg(surface)
        for surface in (rough_torus, relaxed(rough_torus, "plain", 40), relaxed(rough_torus, "smooth", 40))
    ]

    assert angles[0] > 2.0 * angles[1] > 2.0 * angles[2]


@pytest.mark.parametrize("rounds", [1, 5])
def test_both_filters_are_those_of_their_papers(rough_torus: Surface, rounds: int) -> None:
    """The slow twin goes from vertex to vertex."""
    neighbors = as_trimesh(rough_torus).vertex_neighbors
    start = rough_torus.vertices.astype(np.float64)

    def averaged(places: np.ndarray) -> np.ndarray:
        return np.array([places[others].mean(axis=0) for others in neighbors])

    taubin, hc = start.copy(), start.copy()
    for _ in range(rounds):
        for step in (SHRINK, INFLATE):
            taubin = taubin + step * (averaged(taubin) - taubin)
        moved = averaged(hc) - hc
        hc = hc + moved - OWN_SHARE * moved - (1.0 - OWN_SHARE) * averaged(moved)

    np.testing.assert_allclose(relax(rough_torus, rounds).vertices, taubin, atol=1e-6)
    np.testing.assert_allclose(smooth(rough_torus, rounds).vertices, hc, atol=1e-6)


def test_no_rounds_change_nothing(raw_torus: Surface) -> None:
    for filtered in (relax(raw_torus, 0), smooth(raw_torus, 0)):
        np.testing.assert_array_equal(filtered.vertices, raw_torus.vertices)


def test_a_finer_grid_gets_more_rounds_that_smooth_less_in_metres(make_snapshot: Callable[..., FieldSnapshot]) -> None:
    """A ball with ripples a fifth of its radius long: the finer the grid, the more of their height stays."""

    def rippled(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ripples = 0.04 * np.prod(np.cos(np.pi * points / 0.2), axis=1)
        return np.linalg.norm(points, axis=1) - 0.5 + ripples, np.full((len(points), 3), 0.5)

    kept = []
    for resolution in (32, 48, 64):
        snapshot = make_snapshot(rippled, resolution=resolution)
        raw = _level_set(_voxel_opacity(snapshot), _level_of(20.0, snapshot), snapshot)[0]
        after = relaxed(raw, "plain", resolution)
        kept.append(np.linalg.norm(after.vertices, axis=1).std() / np.linalg.norm(raw.vertices, axis=1).std())

    assert [scaled_rounds(60, side) for side in (1, 48, GRID_SIDE, 192)] == [1, 15, 60, 240]
    assert kept == sorted(kept)
    assert kept[-1] > kept[0] + 0.05
