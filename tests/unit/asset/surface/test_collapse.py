"""Collapses that keep every handle."""

import manifold3d
import numpy as np
import pytest

from dreamfoundry.asset.surface.collapse import HalfEdges, collapsed
from dreamfoundry.asset.surface.crossings import num_crossing_faces
from dreamfoundry.asset.surface.decimate import decimate
from dreamfoundry.asset.surface.distance import surface_error
from dreamfoundry.asset.surface.triangles import genus, is_closed
from dreamfoundry.records import Surface


def surface_of(solid: manifold3d.Manifold) -> Surface:
    mesh = solid.to_mesh()
    return Surface(np.array(mesh.vert_properties[:, :3], dtype=np.float32), np.array(mesh.tri_verts, dtype=np.uint32))


@pytest.fixture(scope="module")
def box_with_rings() -> Surface:
    """A box with two thin rings, one on either side."""
    ring = manifold3d.Manifold.revolve(manifold3d.CrossSection.circle(0.04, 16).translate((0.4, 0.0)), 64)
    solid = manifold3d.Manifold.cube((1.0, 1.0, 1.0), True)
    for side in (-0.6, 0.6):
        solid += ring.rotate((90.0, 0.0, 0.0)).translate((side, 0.0, 0.0))
    return surface_of(solid.refine_to_length(0.05))


@pytest.mark.parametrize("max_triangles", [1000, 500, 200])
def test_thin_handles_stay(box_with_rings: Surface, max_triangles: int) -> None:
    level = collapsed(box_with_rings, max_triangles)

    assert level is not None
    assert max_triangles - len(level.faces) in (0, 1)
    assert is_closed(level.faces.astype(np.int64), len(level.vertices))
    assert genus(level) == genus(box_with_rings) == 2
    assert num_crossing_faces(level) == 0


def test_levels_are_as_near_to_the_surface_as_with_vertices_placed_at_every_collapse(torus_surface: Surface) -> None:
    for max_triangles in (2000, 800, 300):
        level = collapsed(torus_surface, max_triangles)
        assert level is not None
        free = surface_error(decimate(torus_surface, max_triangles), torus_surface)
        assert surface_error(level, torus_surface).mean < 1.25 * free.mean


def test_edges_and_planes_of_a_box_stay_where_they_are() -> None:
    box = surface_of(manifold3d.Manifold.cube((1.0, 2.0, 3.0)).refine(8))

    level = collapsed(box, 12)

    assert level is not None
    corners = {tuple(corner) for corner in level.vertices.astype(np.float64).round(6).tolist()}
    assert corners == {(x, y, z) for x in (0.0, 1.0) for y in (0.0, 2.0) for z in (0.0, 3.0)}


def test_fewer_triangles_than_a_torus_takes_are_not_made(torus_surface: Surface) -> None:
    """No torus has fewer than seven vertices, which are fourteen triangles."""
    assert collapsed(torus_surface, 12) is None


def test_the_same_surface_gives_the_same_bytes(box_with_rings: Surface) -> None:
    one, other = (collapsed(box_with_rings, 500) for _ in range(2))

    assert one is not None
    assert other is not None
    assert one.vertices.tobytes() == other.vertices.tobytes()
    assert one.faces.tobytes() == other.faces.tobytes()


def test_the_link_condition_agrees_with_neighbours_that_are_counted_one_by_one(torus_surface: Surface) -> None:
    level = collapsed(torus_surface, 24)
    assert level is not None
    edges = HalfEdges.of(level.faces.astype(np.int64), len(level.vertices))
    neighbors: dict[int, set[int]] = {number: set() for number in range(len(level.vertices))}
    for a, b, c in level.faces.tolist():
        neighbors[a] |= {b, c}
        neighbors[b] |= {a, c}
        neighbors[c] |= {a, b}

    counted = [
        len(neighbors[a] & neighbors[b]) == 2 for a, b in zip(edges.start.tolist(), edges.end.tolist(), strict=True)
    ]

    assert edges.has_two_common_neighbors().tolist() == counted
    assert not all(counted)
