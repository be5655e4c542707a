"""Small charts end up beside or within another one, and nothing lies on anything."""

from itertools import product

import numpy as np
import pytest

from dreamfoundry.asset.maps.charts import chart_figures, chart_of_face
from dreamfoundry.asset.maps.merge import merge_small_charts, overlaps, signed_areas
from dreamfoundry.asset.maps.rasterize import num_covering
from dreamfoundry.records import Surface

TETRAHEDRON = np.array([(0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3)])


def triangle_soup(surface: Surface, faces_of_first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One flat chart of the first faces, seen from the front, and each other face as a chart far away."""
    first, others = surface.faces[:faces_of_first].astype(np.int64), surface.faces[faces_of_first:].astype(np.int64)
    source, split = np.unique(first, return_inverse=True)
    places = surface.vertices[source, 0] + 1j * surface.vertices[source, 1]
    alone = np.array([0.0, 1.0, 0.5 + 0.8j])[None] + 10.0 * np.arange(1, len(others) + 1)[:, None]
    return (
        np.concatenate((places.astype(np.complex128), alone.reshape(-1))),
        np.concatenate((source, others.reshape(-1))),
        np.concatenate((split.reshape(-1, 3), np.arange(others.size).reshape(-1, 3) + len(source))),
    )


def solid() -> Surface:
    """A pyramid over a square of two triangles, which come first."""
    vertices = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0.5, 0.5, -1)], np.float32)
    faces = [(0, 1, 2), (0, 2, 3), (1, 0, 4), (2, 1, 4), (3, 2, 4), (0, 3, 4)]
    return Surface(vertices, np.array(faces, np.uint32))


def test_the_sides_of_a_pyramid_are_unfolded_round_its_base() -> None:
    places, source, faces = triangle_soup(solid(), 2)

    merged, merged_source, merged_faces = merge_small_charts(places, source, faces)

    assert chart_of_face(merged_faces, len(merged)).max() == 0
    np.testing.assert_array_equal(merged_source[merged_faces], source[faces])
    corners = merged[merged_faces]
    assert (np.sign(signed_areas(corners)) == 1.0).all()
    assert not any(
        overlaps(corners[[one]], corners[[other]]) for one, other in product(range(6), repeat=2) if one != other
    )


def test_a_face_goes_back_into_the_hole_that_it_left() -> None:
    """A fan of four triangles around a point, of which one is a chart of its own; below, a far away lid."""
    vertices = np.array([(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0), (1, 1, 0)], np.float32)
    faces = np.array([(0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4), (1, 0, 2), (0, 3, 2)])
    places = np.concatenate((vertices[:, 0] + 1j * vertices[:, 1], [50, 51, 50 + 1j], [80, 81, 80.5 + 1j, 79.5 + 1j]))
    source = np.array([0, 1, 2, 3, 4, 3, 0, 4, 1, 0, 2, 3])
    split = np.array([(0, 1, 4), (1, 2, 4), (2, 3, 4), (5, 6, 7), (8, 9, 10), (9, 11, 10)])

    merged, merged_source, merged_faces = merge_small_charts(places.astype(np.complex128), source, split)

    np.testing.assert_array_equal(merged_source[merged_faces], faces)
    assert signed_areas(merged[merged_faces[[3]]]) == pytest.approx(1.0)
    assert len(np.unique(merged_faces[:4])) == 5


def test_charts_of_a_real_surface_become_fewer_without_overlap(torus_surface: Surface) -> None:
    """One face of forty is torn out of an atlas that has the torus in quarters, seen from above or below."""
    corners = torus_surface.vertices.astype(np.float64)[torus_surface.faces]
    middle = corners.mean(axis=1)
    above = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 1] > 0.0
    torn = np.arange(len(middle)) % 40 == 0
    part = np.where(torn, 10 + np.arange(len(middle)), above * 4 + (middle[:, 0] > 0.0) * 2 + (middle[:, 2] > 0.0))
    keys = part[:, None] * len(torus_surface.vertices) + torus_surface.faces
    names, split = np.unique(keys, return_inverse=True)
    source = names % len(torus_surface.vertices)
    flat = torus_surface.vertices.astype(np.float64)[source]
    places = flat[:, 0] + 1j * flat[:, 2] + 5.0 * (names // len(torus_surface.vertices))

    merged, merged_source, faces = merge_small_charts(places, source, split.reshape(-1, 3))

    before = chart_figures(np.column_stack((places.real, places.imag)).astype(np.float32), split.reshape(-1, 3))
    after = chart_figures(np.column_stack((merged.real, merged.imag)).astype(np.float32), faces)
    assert after.num_charts < 0.2 * before.num_charts
    np.testing.assert_array_equal(merged_source[faces], torus_surface.faces)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([(0, 0), (1, 0), (0, 1)], True),
        ([(1, 0), (1, 1), (0, 1)], False),  # the longest side in common
        ([(1, 0), (2, 0), (1, 1)], False),  # one corner in common
        ([(0.2, 0.2), (0.3, 0.2), (0.2, 0.3)], True),  # within
        ([(-1, -1), (3, -1), (-1, 3)], True),  # around
        ([(0.6, 0.6), (2, 0.6), (0.6, 2)], False),  # boxes overlap, triangles do not
        ([(0.4, 0.4), (2, 0.4), (0.4, 2)], True),
        ([(5, 5), (6, 5), (5, 6)], False),
    ],
)
def test_triangles_overlap_when_they_share_more_than_their_border(
    other: list[tuple[float, float]], expected: bool
) -> None:
    one = np.array([[0.0, 1.0, 1.0j]])

    assert overlaps(one, np.array([[complex(*place) for place in other]])) is expected


def test_overlaps_are_those_of_the_pixels_that_two_triangles_cover() -> None:
    generator, unseen = np.random.default_rng(4), 0
    for _ in range(200):
        both = generator.uniform(0.0, 64.0, (2, 3)) + 1j * generator.uniform(0.0, 64.0, (2, 3))
        corners = np.column_stack((both.reshape(-1).real, both.reshape(-1).imag))
        covered = num_covering(corners * 4.0, np.arange(6).reshape(2, 3), 256)

        if overlaps(both[:1], both[1:]):
            unseen += not (covered > 1).any()
        else:
            assert not (covered > 1).any()
    assert unseen < 5  # an overlap may be smaller than a pixel
