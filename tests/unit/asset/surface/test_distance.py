"""The distance of two surfaces is the one that geometry says, whichever has more triangles."""

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.surface.decimate import decimate
from dreamfoundry.asset.surface.distance import DistanceMeter, spread, surface_error
from dreamfoundry.records import Surface


def surface_of(mesh: trimesh.Trimesh) -> Surface:
    return Surface(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))


def ball(radius: float, subdivisions: int = 5) -> Surface:
    return surface_of(trimesh.creation.icosphere(subdivisions, radius))


def test_a_surface_is_at_no_distance_from_itself() -> None:
    error = surface_error(ball(1.0), ball(1.0))

    assert error.mean < 1e-6
    assert error.max < 1e-4


@pytest.mark.parametrize("one_and_other", [(1.1, 1.0), (0.9, 1.0)])
def test_balls_of_different_size_are_apart_by_the_difference_of_their_radii(one_and_other: tuple[float, float]) -> None:
    error = surface_error(*map(ball, one_and_other))

    diagonal = 2.0 * 3.0**0.5
    assert error.mean == pytest.approx(0.1 / diagonal, rel=0.02)
    assert error.max == pytest.approx(0.1 / diagonal, rel=0.05)


@pytest.mark.parametrize("level_has_it", [True, False])
def test_what_only_one_of_them_has_counts_in_either_order(level_has_it: bool) -> None:
    """A thin spike stands 0.5 out of a box with sides of 1: the box alone would not notice it."""
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    spike = trimesh.creation.box((0.2, 0.5, 0.2)).apply_translation((0.0, 0.75, 0.0))
    joined = trimesh.util.concatenate(box, spike)
    assert isinstance(joined, trimesh.Trimesh)
    plain, spiked = surface_of(box), surface_of(joined)

    error = surface_error(spiked, plain) if level_has_it else surface_error(plain, spiked)

    diagonal = np.linalg.norm((1.0, 1.0 if level_has_it else 1.5, 1.0))
    assert error.max * diagonal == pytest.approx(0.5, abs=0.01)
    assert error.mean < 0.2 * error.max


def test_coarser_levels_are_farther_from_the_dense_surface(torus_surface: Surface) -> None:
    errors = [surface_error(decimate(torus_surface, budget), torus_surface) for budget in (2000, 600, 150)]

    assert errors[0].mean < errors[1].mean < errors[2].mean < 0.02
    assert all(error.mean < error.max for error in errors)


def test_distances_are_those_of_a_search_through_all_triangles(torus_surface: Surface, beacon_surface: Surface) -> None:
    """The slow twin tries every triangle for some of the points."""
    from dreamfoundry.asset.surface.distance import _Places, _to_triangles

    points, _ = spread(torus_surface, 20)
    corners = beacon_surface.vertices.astype(np.float64)[beacon_surface.faces]
    expected = [_to_triangles(np.repeat(point[None], len(corners), axis=0), corners).min() for point in points]

    np.testing.assert_allclose(_Places.of(beacon_surface, 40_000).distances(points), expected, atol=1e-3)


def test_a_meter_with_fewer_points_finds_nearly_the_same_mean(torus_surface: Surface) -> None:
    level = decimate(torus_surface, 400)

    few = DistanceMeter.of(torus_surface, 1000).error(level)

    assert few.mean == pytest.approx(surface_error(level, torus_surface).mean, rel=0.1)


def test_the_distance_to_a_triangle_is_to_its_plane_its_side_or_its_corner() -> None:
    from dreamfoundry.asset.surface.distance import _to_triangles

    triangle = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], np.float64)
    points = np.array([(0.2, 0.2, -0.7), (0.5, -2, 0), (4, 0, 4), (1, 1, 0)], np.float64)

    found = _to_triangles(points, np.tile(triangle, (4, 1, 1)))

    np.testing.assert_allclose(found, [0.7, 2.0, 5.0, 0.5**0.5])
