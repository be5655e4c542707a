"""An object stands on a flat base, the lowest that holds it; what no plane holds stays as it is."""

import manifold3d
import numpy as np
import pytest

from dreamfoundry.asset.surface.decimate import levels
from dreamfoundry.asset.surface.standing import (
    SAFE_MARGIN,
    center_of_mass,
    grounded,
    support_margin,
    with_flat_base,
)
from dreamfoundry.asset.surface.triangles import is_closed
from dreamfoundry.records import Surface


def surface_of(solid: manifold3d.Manifold) -> Surface:
    mesh = solid.refine(4).to_mesh()
    vertices = np.ascontiguousarray(mesh.vert_properties[:, :3], dtype=np.float32)
    return Surface(vertices, np.ascontiguousarray(mesh.tri_verts, dtype=np.uint32))


def box(sides: tuple[float, float, float], center: tuple[float, float, float]) -> manifold3d.Manifold:
    return manifold3d.Manifold.cube(sides, center=True).translate(center)


def stool(leg_ends: tuple[float, float, float, float], seat_shift: float = 0.0) -> Surface:
    """A seat at height 1 on four legs that end at these heights."""
    solid = box((1.0, 0.1, 1.0), (seat_shift, 0.95, 0.0))
    corners = ((-0.4, -0.4), (0.4, -0.4), (0.4, 0.4), (-0.4, 0.4))
    for (x, z), end in zip(corners, leg_ends, strict=True):
        solid += box((0.1, 0.95 - end, 0.1), (x, 0.5 * (0.95 + end), z))
    return surface_of(solid)


BALL = surface_of(manifold3d.Manifold.sphere(0.5, 64))


def test_the_centre_of_mass_is_that_of_the_solid() -> None:
    two = surface_of(box((2.0, 1.0, 1.0), (0.0, 0.0, 0.0)) + box((1.0, 1.0, 1.0), (1.5, 0.0, 0.0)))

    assert center_of_mass(two) == pytest.approx([0.5, 0.0, 0.0], abs=1e-6)
    assert center_of_mass(BALL) == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)


def test_the_margin_is_the_way_to_the_edge_of_the_support() -> None:
    cube = surface_of(box((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    leaning = surface_of(box((0.2, 0.2, 1.0), (-0.7, 0.1, 0.0)) + box((1.0, 0.8, 1.0), (-0.3, 0.6, 0.0)))

    assert support_margin(cube) == pytest.approx(0.5 / 3.0**0.5)
    assert support_margin(leaning) < 0.0
    assert support_margin(stool((0.0, 0.1, 0.1, 0.1))) < 0.0


def test_a_stool_with_uneven_legs_is_cut_where_it_stands() -> None:
    uneven = stool((0.0, 0.004, 0.021, 0.021))

    cut = with_flat_base(uneven)

    base = cut.vertices[:, 1].min()
    assert 0.02 < base <= 0.025 + 1e-6
    assert support_margin(uneven) < SAFE_MARGIN <= support_margin(cut, 0.0)
    assert len(np.unique(np.sign(cut.vertices[cut.vertices[:, 1] == base][:, [0, 2]]), axis=0)) == 4  # all four legs
    assert is_closed(cut.faces.astype(np.int64), len(cut.vertices))


def test_a_ball_gets_a_base_as_low_as_one_can_be() -> None:
    cut = with_flat_base(BALL)

    assert cut.vertices[:, 1].min() == pytest.approx(-0.495, abs=1e-5)
    assert support_margin(cut, 0.0) >= SAFE_MARGIN


@pytest.mark.parametrize(
    "hopeless", [stool((0.0, 0.1, 0.1, 0.1)), stool((0.0, 0.0, 0.0, 0.0), 0.9), Surface(BALL.vertices, BALL.faces[1:])]
)
def test_what_no_plane_holds_stays_as_it_is(hopeless: Surface) -> None:
    """One leg that is too long, a seat that hangs over, and a surface that encloses nothing."""
    assert with_flat_base(hopeless) is hopeless


def test_what_falls_into_pieces_is_not_cut_there() -> None:
    """Two towers on a thin sole: above it there are two objects."""
    towers = box((0.3, 1.0, 0.6), (-0.5, 0.52, 0.0)) + box((0.3, 1.0, 0.6), (0.5, 0.52, 0.0))
    solid = surface_of(towers + box((1.3, 0.01, 0.6), (0.0, 0.0, 0.0)) + box((0.05, 0.05, 0.05), (0.0, -0.02, 0.0)))

    cut = with_flat_base(solid)

    assert cut is solid or cut.vertices[:, 1].min() <= 0.005


def test_all_levels_share_the_base_and_stand() -> None:
    cut = with_flat_base(stool((0.0, 0.004, 0.021, 0.021)))

    made = [grounded(level, cut) for level in levels(cut, (600, 300, 120))]

    base = cut.vertices[:, 1].min()
    for level in made:
        assert level.vertices[:, 1].min() == base
        assert (level.vertices[:, 1] == base).sum() >= 4
        assert support_margin(level, 0.0) >= SAFE_MARGIN
        assert is_closed(level.faces.astype(np.int64), len(level.vertices))


@pytest.mark.parametrize("shift", [-0.01, -0.0002, 0.0002, 0.01])
def test_a_level_that_sinks_or_floats_is_put_on_the_ground(shift: float) -> None:
    """A ball has one lowest point, and a level of it another."""
    off = Surface(BALL.vertices + np.array([0.0, shift, 0.0], np.float32), BALL.faces)

    level = grounded(off, BALL)

    assert level.vertices[:, 1].min() == BALL.vertices[:, 1].min()
    assert np.abs(level.vertices - off.vertices).max() <= 0.01 + 1e-6
    assert is_closed(level.faces.astype(np.int64), len(level.vertices))


def test_vertices_that_would_coincide_stay_where_they_are() -> None:
    cube = surface_of(box((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    vertices = cube.vertices.copy()
    lowest, above = np.argsort(np.linalg.norm(vertices + 0.5, axis=1), kind="stable")[:2]  # a corner, a neighbour
    vertices[above] = vertices[lowest] + np.array([0.0, 0.0005, 0.0], np.float32)
    close = Surface(vertices, cube.faces)

    assert grounded(close, cube) is close
