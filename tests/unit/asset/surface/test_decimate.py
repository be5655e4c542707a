"""Levels of detail stay closed and within their budgets."""

import manifold3d
import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.surface.crossings import num_crossing_faces
from dreamfoundry.asset.surface.decimate import decimate, levels
from dreamfoundry.asset.surface.distance import surface_error
from dreamfoundry.asset.surface.triangles import genus
from dreamfoundry.errors import SurfaceFailed
from dreamfoundry.records import Surface


def as_trimesh(surface: Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def test_levels_are_closed_within_budget_and_strictly_smaller(torus_surface: Surface) -> None:
    made = levels(torus_surface, (2000, 800, 200))

    assert [len(level.faces) for level in made] == pytest.approx([2000, 800, 200], rel=0.05)
    for level, budget in zip(made, (2000, 800, 200), strict=True):
        assert len(level.faces) <= budget
        assert as_trimesh(level).is_watertight
        assert as_trimesh(level).volume == pytest.approx(as_trimesh(torus_surface).volume, rel=0.1)


def test_budgets_above_the_surface_still_give_strictly_decreasing_levels(torus_surface: Surface) -> None:
    counts = [len(level.faces) for level in levels(torus_surface, (30_000, 20_000, 10_000))]

    assert counts[0] == len(torus_surface.faces)
    assert counts == sorted(set(counts), reverse=True)


@pytest.mark.parametrize("error", [0.0005, 0.001])
def test_levels_have_no_more_triangles_than_their_error_takes(torus_surface: Surface, error: float) -> None:
    """The second may be twice as far from the surface as the first; the third takes what is left of its budget."""
    made = levels(torus_surface, (4000, 3000, 100), error)

    met = [surface_error(level, torus_surface).mean for level in made]
    assert met[:2] == pytest.approx([error, 2.0 * error], rel=0.1)
    assert len(made[0].faces) < 2000
    assert len(made[2].faces) <= 100


def test_an_error_that_the_budget_cannot_reach_leaves_the_whole_budget(torus_surface: Surface) -> None:
    made = levels(torus_surface, (600, 300), 0.0001)

    assert [len(level.faces) for level in made] == pytest.approx([600, 300], rel=0.05)


def test_a_handle_and_a_thin_part_are_kept_where_the_budget_allows_it() -> None:
    """A ball with a thin ring on it: with 150 triangles it breaks, up to 600 there may be."""
    ball = manifold3d.Manifold.sphere(1.0, 96)
    ring = manifold3d.Manifold.revolve(manifold3d.CrossSection.circle(0.05, 12).translate((0.4, 0.0)), 48)
    solid = (ball + ring.rotate((90.0, 0.0, 0.0)).translate((1.1, 0.0, 0.0))).to_mesh()
    surface = Surface(np.ascontiguousarray(solid.vert_properties[:, :3]), solid.tri_verts.astype(np.uint32))

    level = decimate(surface, 600, 150)

    assert genus(surface) == genus(level) == 1
    assert 150 <= len(level.faces) <= 600
    assert as_trimesh(level).body_count == 1


@pytest.fixture(scope="module")
def box_with_a_ring() -> Surface:
    """A bumpy box with a ring as thin as a wire, which quadrics cut through long before they flatten the bumps."""
    box = manifold3d.Manifold.cube((1.0, 1.0, 1.0), True).refine(30)
    bumpy = box.warp_batch(lambda at: at * (1.0 + 0.02 * np.sin(20.0 * at[:, [1, 2, 0]]).sum(axis=1, keepdims=True)))
    ring = manifold3d.Manifold.revolve(manifold3d.CrossSection.circle(0.005, 6).translate((0.3, 0.0)), 32)
    mesh = (bumpy + ring.rotate((90.0, 0.0, 0.0)).translate((0.6, 0.0, 0.0))).to_mesh()
    return Surface(np.ascontiguousarray(mesh.vert_properties[:, :3]), mesh.tri_verts.astype(np.uint32))


def test_a_handle_stays_where_no_number_of_triangles_within_the_budget_keeps_it(box_with_a_ring: Surface) -> None:
    level = decimate(box_with_a_ring, 500)

    assert genus(box_with_a_ring) == genus(level) == 1
    assert len(level.faces) <= 500
    assert as_trimesh(level).is_watertight
    assert as_trimesh(level).body_count == 1
    assert num_crossing_faces(level) == 0


def test_all_levels_have_the_handles_of_the_surface(box_with_a_ring: Surface) -> None:
    made = levels(box_with_a_ring, (1000, 500, 250), 0.001)

    assert [genus(level) for level in made] == [1, 1, 1]
    assert [len(level.faces) <= budget for level, budget in zip(made, (1000, 500, 250), strict=True)] == [True] * 3


def test_a_pinched_surface_is_pulled_apart() -> None:
    """A sponge: collapses pinch it in many points."""
    generator = np.random.default_rng(3)
    field = generator.random((14, 14, 14)) > 0.45
    mesh = trimesh.voxel.ops.matrix_to_marching_cubes(np.pad(field, 1))
    mesh = max(mesh.split(only_watertight=True), key=lambda part: part.area)
    surface = Surface(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))

    level = decimate(surface, len(surface.faces) // 5)

    welded = trimesh.Trimesh(level.vertices, level.faces, process=True)
    assert len(np.unique(level.vertices, axis=0)) == len(level.vertices)
    assert welded.is_watertight
    assert (np.unique(welded.edges_sorted, axis=0, return_counts=True)[1] == 2).all()


def test_a_budget_without_room_for_a_solid_is_refused(torus_surface: Surface) -> None:
    with pytest.raises(SurfaceFailed, match="max_triangles = 3"):
        decimate(torus_surface, 3)
