"""Shapes that a lead would send back are named, each by its gate."""

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.gates.shape import edge_angle_mean_deg, shape_problems, shape_scores, triangle_quality
from dreamfoundry.asset.surface.decimate import decimate
from dreamfoundry.records import Surface
from dreamfoundry.settings.export_profiles import ExportProfile


def surface_of(mesh: trimesh.Trimesh) -> Surface:
    return Surface(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))


def gates(levels: list[Surface], dense: Surface) -> set[str]:
    return {finding.gate for finding in shape_problems(shape_scores(levels, dense), ExportProfile())}


@pytest.fixture(scope="module")
def lying_ring(torus_surface: Surface) -> list[Surface]:
    return [decimate(torus_surface, 2000), decimate(torus_surface, 600)]


def test_a_sound_shape_passes(lying_ring: list[Surface], torus_surface: Surface) -> None:
    assert gates(lying_ring, torus_surface) == set()


def test_a_shape_that_falls_over_is_named(lying_ring: list[Surface], torus_surface: Surface) -> None:
    tilted = lying_ring[0].vertices @ np.array([[1, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8]], np.float32)
    slim = tilted * np.array([1, 1, 1], np.float32) + np.array([0, 0, 0.9], np.float32) * tilted[:, 1:2]

    assert gates([Surface(slim.astype(np.float32), lying_ring[0].faces)], torus_surface) == {"stands"}


def test_levels_with_other_handles_are_named(lying_ring: list[Surface], torus_surface: Surface) -> None:
    ball = surface_of(trimesh.creation.icosphere(2))

    assert gates([lying_ring[0], ball], torus_surface) == {"equal_genus"}


def test_slivers_are_named(lying_ring: list[Surface], torus_surface: Surface) -> None:
    thin = lying_ring[0].vertices * np.array([1.0, 0.05, 1.0], np.float32)

    assert "slivers" in gates([Surface(thin.astype(np.float32), lying_ring[0].faces)], torus_surface)


def test_lumps_are_named(lying_ring: list[Surface], torus_surface: Surface) -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.004, torus_surface.vertices.shape).astype(np.float32)

    assert gates(lying_ring, Surface(torus_surface.vertices + noise, torus_surface.faces)) == {"smoothness"}


def test_triangles_that_cross_are_named_by_level(lying_ring: list[Surface], torus_surface: Surface) -> None:
    vertices = lying_ring[1].vertices.copy()
    vertices[np.argmax(vertices[:, 0])] = (-1.0, 0.1, 0.03)  # the outermost vertex pulled through the hole
    folded = Surface(vertices, lying_ring[1].faces)

    problems = list(shape_problems(shape_scores([lying_ring[0], folded], torus_surface), ExportProfile()))

    assert [problem.gate for problem in problems] == ["self_intersection"]
    assert "LOD1" in problems[0].message


def test_a_profile_may_allow_more_or_less(lying_ring: list[Surface], torus_surface: Surface) -> None:
    scores = shape_scores(lying_ring, torus_surface)

    strict = ExportProfile(max_slivers=0.0, max_edge_angle_deg=1.0)

    assert [finding.gate for finding in shape_problems({**scores, "sliver_share_LOD0": 0.01}, strict)] == [
        "slivers",
        "smoothness",
    ]


def test_quality_is_1_for_equal_sides_and_falls_with_the_height() -> None:
    triangles = np.array([[(0, 0, 0), (1, 0, 0), (0.5, height, 0)] for height in (0.75**0.5, 0.1, 0.0)], np.float32)
    faces = np.arange(9, dtype=np.uint32).reshape(3, 3)

    assert triangle_quality(Surface(triangles.reshape(-1, 3), faces)) == pytest.approx([1.0, 0.2279, 0.0], abs=1e-3)


def test_the_edge_angle_is_the_mean_over_all_edges() -> None:
    """A cube has twelve edges of 90 degrees and six flat diagonals."""
    cube = trimesh.creation.box((1.0, 1.0, 1.0))

    assert edge_angle_mean_deg(surface_of(cube)) == pytest.approx(60.0)
    ball = trimesh.creation.icosphere(3)
    assert edge_angle_mean_deg(surface_of(ball)) == pytest.approx(
        np.degrees(ball.face_adjacency_angles).mean(), rel=1e-4
    )
