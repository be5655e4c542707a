"""Triangles that pierce one another are found, wherever they lie; neighbours and touching ones do not count."""

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.surface.crossings import _near_pairs, num_crossing_faces
from dreamfoundry.records import Surface


def surface_of(*meshes: trimesh.Trimesh) -> Surface:
    joined = trimesh.util.concatenate(list(meshes))
    assert isinstance(joined, trimesh.Trimesh)
    return Surface(joined.vertices.astype(np.float32), joined.faces.astype(np.uint32))


def slow_count(surface: Surface) -> int:
    """Every edge against every triangle, one at a time."""
    vertices, faces = surface.vertices.astype(np.float64), surface.faces.astype(int).tolist()
    crossing = set()
    for one, face in enumerate(faces):
        for other, corners in enumerate(faces):
            if one == other or len(set(face) & set(corners)) > 1:
                continue
            for start, end in ((face[k], face[(k + 1) % 3]) for k in range(3)):
                if {start, end} & set(corners):
                    continue
                a, b, c = vertices[corners]
                system = np.stack((b - a, c - a, vertices[start] - vertices[end]), axis=1)
                if abs(np.linalg.det(system)) < 1e-12:
                    continue
                u, v, w = np.linalg.solve(system, vertices[start] - a)
                if min(u, v, 1.0 - u - v, w, 1.0 - w) > 0.0:
                    crossing |= {one, other}
    return len(crossing)


def test_a_sound_surface_has_none(torus_surface: Surface) -> None:
    assert num_crossing_faces(torus_surface) == 0


def test_two_balls_in_each_other_cross_as_the_slow_way_says() -> None:
    ball = trimesh.creation.icosphere(1)
    surface = surface_of(ball, ball.copy().apply_translation((0.71, 0.32, 0.13)))

    assert num_crossing_faces(surface) == slow_count(surface) > 10


def test_noise_crosses_as_the_slow_way_says() -> None:
    ball = trimesh.creation.icosphere(1)
    noise = np.random.default_rng(0).normal(0.0, 0.25, ball.vertices.shape)
    surface = Surface((ball.vertices + noise).astype(np.float32), ball.faces.astype(np.uint32))

    assert num_crossing_faces(surface) == slow_count(surface) > 5


def test_boxes_that_stand_side_by_side_do_not_cross() -> None:
    box = trimesh.creation.box((1.0, 1.0, 1.0))

    assert num_crossing_faces(surface_of(box, box.copy().apply_translation((1.0, 0.0, 0.0)))) == 0


@pytest.mark.parametrize("pairs_per_chunk", [1, 50, 1 << 21])
def test_every_near_pair_is_met_once_in_chunks_of_any_size(pairs_per_chunk: int) -> None:
    corners = np.random.default_rng(0).normal(0.0, 1.0, (60, 3, 3))

    chunks = list(_near_pairs(corners, pairs_per_chunk))

    met = sorted(
        tuple(sorted(pair)) for one, other in chunks for pair in zip(one.tolist(), other.tolist(), strict=True)
    )
    low, high = corners.min(axis=1), corners.max(axis=1)
    expected = [
        (one, other)
        for one in range(60)
        for other in range(one + 1, 60)
        if (low[one] <= high[other]).all() and (low[other] <= high[one]).all()
    ]
    assert met == expected
