"""Hulls are convex and small, hold the surface, and follow it more closely the more there may be."""

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.surface.collision import (
    OUTSIDE_SHARE,
    collision_hull,
    collision_hulls,
    outside_share,
    volume_ratio,
)
from dreamfoundry.asset.surface.decimate import decimate
from dreamfoundry.errors import SurfaceFailed
from dreamfoundry.records import Surface


def as_trimesh(surface: Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def diagonal(surface: Surface) -> float:
    return float(np.linalg.norm(np.ptp(surface.vertices, axis=0)))


def volume(hulls: list[Surface]) -> float:
    return sum(as_trimesh(hull).volume for hull in hulls)


def outside(points: np.ndarray, hulls: list[Surface]) -> np.ndarray:
    """The distance of each point from the hull that is nearest to it, negative inside."""
    distances = []
    for hull in map(as_trimesh, hulls):
        offsets = (hull.face_normals * hull.triangles[:, 0]).sum(axis=1)
        distances.append((points @ hull.face_normals.T - offsets).max(axis=1))
    return np.min(distances, axis=0)


@pytest.fixture(scope="module")
def ring_hulls(torus_surface: Surface) -> list[Surface]:
    return collision_hulls(torus_surface, decimate(torus_surface, 1000), max_hulls=8, max_vertices=32)


@pytest.mark.parametrize("max_vertices", [8, 16, 32])
def test_the_hull_is_convex_small_and_holds_the_surface(torus_surface: Surface, max_vertices: int) -> None:
    hull = collision_hull(torus_surface, max_vertices)

    mesh = as_trimesh(hull)
    assert len(hull.vertices) <= max_vertices
    assert mesh.is_watertight
    assert mesh.is_convex
    assert mesh.volume > 0
    assert outside(torus_surface.vertices, [hull]).max() <= OUTSIDE_SHARE * diagonal(torus_surface) * 1.001
    assert hull.vertices[:, 1].min() == pytest.approx(torus_surface.vertices[:, 1].min(), abs=1e-6)


def test_more_vertices_follow_the_shape_more_closely(torus_surface: Surface) -> None:
    exact = as_trimesh(torus_surface).convex_hull.volume

    volumes = [as_trimesh(collision_hull(torus_surface, count)).volume for count in (8, 16, 32)]

    assert volumes == sorted(volumes, reverse=True)
    assert exact < volumes[-1] < 1.1 * exact


def test_a_box_is_its_own_hull() -> None:
    """Nothing that its corners hold already is pushed."""
    box = trimesh.creation.box((1.0, 2.0, 3.0)).subdivide().subdivide()

    hull = collision_hull(Surface(box.vertices.astype(np.float32), box.faces.astype(np.uint32)), 32)

    assert len(hull.vertices) == 8
    assert as_trimesh(hull).volume == pytest.approx(6.0, rel=1e-5)


def test_a_flat_surface_has_no_hull() -> None:
    flat = Surface(np.array([(0, 0, 0), (1, 0, 0), (0, 0, 1)], np.float32), np.array([(0, 1, 2)], np.uint32))

    with pytest.raises(SurfaceFailed, match="flat"):
        collision_hull(flat, 32)


def test_several_hulls_leave_the_hole_of_a_ring_open(torus_surface: Surface, ring_hulls: list[Surface]) -> None:
    assert 4 <= len(ring_hulls) <= 8
    assert (outside(np.zeros((1, 3)), ring_hulls) > 0.1).all()
    assert (outside(np.zeros((1, 3)), [collision_hull(torus_surface, 32)]) < 0.0).all()
    ratio = volume(ring_hulls) / as_trimesh(torus_surface).volume
    assert ratio < 1.2
    assert volume_ratio(ring_hulls, torus_surface) == pytest.approx(ratio, rel=1e-6)


def test_several_hulls_hold_the_surface_and_stand_where_it_stands(
    torus_surface: Surface, ring_hulls: list[Surface]
) -> None:
    for hull in ring_hulls:
        mesh = as_trimesh(hull)
        assert len(hull.vertices) <= 32
        assert mesh.is_watertight
        assert mesh.is_convex
        assert mesh.volume > 0
    corners = np.concatenate([hull.vertices for hull in ring_hulls])
    low, high = torus_surface.vertices.min(axis=0), torus_surface.vertices.max(axis=0)
    beyond = np.maximum(low - corners.min(axis=0), corners.max(axis=0) - high) / diagonal(torus_surface)
    assert (beyond < 0.02).all()
    assert corners[:, 1].min() == pytest.approx(low[1], abs=1e-6)
    assert outside(torus_surface.vertices, ring_hulls).max() <= 0.01 * diagonal(torus_surface)


def test_what_stands_out_is_outside_of_every_hull() -> None:
    ball = trimesh.creation.icosphere(2)
    surface = Surface(ball.vertices.astype(np.float32), ball.faces.astype(np.uint32))
    half = Surface((0.5 * ball.vertices).astype(np.float32), ball.faces.astype(np.uint32))

    assert outside_share(surface, [surface]) == pytest.approx(0.0, abs=1e-6)
    assert outside_share(surface, [half]) == pytest.approx(0.5 / 12.0**0.5, rel=0.05)
    assert outside_share(surface, [half, surface]) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("max_hulls", [2, 3, 5])
def test_there_are_never_more_hulls_than_asked_for(torus_surface: Surface, max_hulls: int) -> None:
    assert 1 <= len(collision_hulls(torus_surface, torus_surface, max_hulls=max_hulls, max_vertices=16)) <= max_hulls


def test_a_ball_needs_one_hull_however_many_there_may_be() -> None:
    ball = trimesh.creation.icosphere(3)
    surface = Surface(ball.vertices.astype(np.float32), ball.faces.astype(np.uint32))

    assert len(collision_hulls(surface, surface, max_hulls=8, max_vertices=32)) == 1


def test_the_same_surface_gives_the_same_hulls(torus_surface: Surface, ring_hulls: list[Surface]) -> None:
    again = collision_hulls(torus_surface, decimate(torus_surface, 1000), max_hulls=8, max_vertices=32)

    assert [(h.vertices.tobytes(), h.faces.tobytes()) for h in again] == [
        (h.vertices.tobytes(), h.faces.tobytes()) for h in ring_hulls
    ]


def test_where_nothing_can_be_cut_there_is_one_hull(torus_surface: Surface) -> None:
    """An open surface encloses nothing that could be cut."""
    is_open = Surface(torus_surface.vertices, torus_surface.faces[:-1])

    assert len(collision_hulls(torus_surface, is_open, max_hulls=8, max_vertices=32)) == 1
