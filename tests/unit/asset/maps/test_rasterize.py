"""The rasteriser agrees with the obvious one, pixel by pixel."""

import numpy as np
import pytest

from dreamfoundry.asset.maps.rasterize import num_covering, project, rasterize, sample_texture


def slow_nearest_face(points: np.ndarray, faces: np.ndarray, side_px: int) -> np.ndarray:
    """The face seen at each pixel centre, -1 for none: every triangle at every pixel."""
    seen = np.full((side_px, side_px), -1)
    for row in range(side_px):
        for column in range(side_px):
            nearest = 0.0
            for index, face in enumerate(faces):
                (x0, y0, d0), (x1, y1, d1), (x2, y2, d2) = points[face]
                system = np.array([[x0, x1, x2], [y0, y1, y2], [1.0, 1.0, 1.0]])
                weights = np.linalg.solve(system, [column + 0.5, row + 0.5, 1.0])
                inverse_depth = float(weights @ [d0, d1, d2])
                if (weights >= 0.0).all() and inverse_depth > nearest:
                    nearest, seen[row, column] = inverse_depth, index
    return seen


def test_every_pixel_shows_the_face_that_a_slow_search_finds() -> None:
    generator = np.random.default_rng(1)
    points = np.column_stack((generator.uniform(-4, 20, (24, 2)), generator.uniform(0.2, 1.0, 24)))
    faces = np.arange(24).reshape(8, 3)

    fragments = rasterize(points, faces, 16)

    seen = np.full(256, -1)
    seen[fragments.pixel] = fragments.face
    np.testing.assert_array_equal(seen.reshape(16, 16), slow_nearest_face(points, faces, 16))


def test_as_many_triangles_cover_a_pixel_as_a_slow_search_finds() -> None:
    points, faces = np.random.default_rng(2).uniform(-4, 20, (36, 2)), np.arange(36).reshape(12, 3)
    alone = [slow_nearest_face(np.column_stack((points, np.ones(36))), faces[[k]], 16) >= 0 for k in range(12)]

    times = num_covering(points, faces, 16)

    np.testing.assert_array_equal(times, np.sum(alone, axis=0))
    assert times.max() > 2


def test_neighbouring_triangles_do_not_cover_each_other() -> None:
    square = np.array([(1.0, 1.0), (15.0, 1.0), (15.0, 15.0), (1.0, 15.0)])

    assert num_covering(square, np.array([(0, 1, 2), (0, 2, 3)]), 16).max() == 1


def test_neighbouring_triangles_leave_no_crack() -> None:
    corners = np.array([(1.0, 1.0, 1.0), (15.0, 1.0, 1.0), (15.0, 15.0, 1.0), (1.0, 15.0, 1.0)])

    covered = rasterize(corners, np.array([(0, 1, 2), (0, 2, 3)]), 16).pixel

    assert len(covered) == 14 * 14


def test_a_point_on_the_axis_of_a_camera_falls_into_the_middle_and_up_is_up() -> None:
    pose = np.eye(4)
    pose[2, 3] = 2.0

    on_axis, above, right, behind = project(
        np.array([(0.0, 0.0, 0.0), (0.0, 0.5, 0.0), (0.5, 0.0, 0.0), (0.0, 0.0, 3.0)]), pose, 90.0, 100
    )

    assert on_axis == pytest.approx([50.0, 50.0, 0.5])
    assert above == pytest.approx([50.0, 37.5, 0.5])
    assert right == pytest.approx([62.5, 50.0, 0.5])
    assert behind[2] == 0.0


def test_interpolation_is_correct_in_perspective() -> None:
    """A floor seen obliquely: world positions rebuilt from pixels project back onto these pixels."""
    pose = np.eye(4)
    pose[:3, 3] = (0.0, 1.0, 4.0)
    floor = np.array([(-3.0, -0.5, 2.0), (3.0, -0.5, 2.0), (0.0, -0.5, -9.0)])
    faces = np.array([(0, 1, 2)])

    fragments = rasterize(project(floor, pose, 60.0, 32), faces, 32)
    back = project(fragments.interpolate(floor, faces), pose, 60.0, 32)

    assert len(fragments.pixel) > 50
    np.testing.assert_allclose(back[:, 0], fragments.pixel % 32 + 0.5, atol=1e-6)
    np.testing.assert_allclose(back[:, 1], fragments.pixel // 32 + 0.5, atol=1e-6)


def test_the_first_row_of_a_texture_has_the_smallest_v() -> None:
    texture = np.zeros((2, 2, 3), dtype=np.uint8)
    texture[0, 1] = 255

    assert sample_texture(texture, np.array([(0.75, 0.25)]))[0] == pytest.approx([1.0, 1.0, 1.0])
    assert sample_texture(texture, np.array([(0.5, 0.25)]))[0] == pytest.approx([0.5, 0.5, 0.5])
    assert sample_texture(texture, np.array([(0.75, 0.75)]))[0] == pytest.approx([0.0, 0.0, 0.0])
