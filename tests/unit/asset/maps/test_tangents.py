"""Tangents are those of MikkTSpace, with the sign that a normal map is painted for."""

from dataclasses import replace

import numpy as np
import pytest

from dreamfoundry.asset.maps.tangents import vertex_tangents
from dreamfoundry.records import TexturedMesh

SQUARE = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], np.float32)
SQUARE_FACES = np.array([(0, 1, 2), (0, 2, 3)], np.uint32)
TOWARDS_VIEWER = np.tile(np.array([(0, 0, 1)], np.float32), (4, 1))
UPRIGHT = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32)  # v grows downwards in glTF
MIRRORED = UPRIGHT * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)


def tangents_of(mesh: TexturedMesh) -> np.ndarray:
    return vertex_tangents(mesh.vertices, mesh.normals, mesh.uvs, mesh.faces).astype(np.float64)


def slow_twin(mesh: TexturedMesh) -> np.ndarray:
    """Vertex by vertex, as the comments of MikkTSpace's reference code say it, on v that grows upwards."""
    uvs = mesh.uvs.astype(np.float64) * (1, -1) + (0, 1)
    result = np.zeros((len(mesh.vertices), 4))
    for vertex, normal in enumerate(mesh.normals.astype(np.float64)):
        found = {1.0: np.zeros(3), -1.0: np.zeros(3)}
        angles = {1.0: 0.0, -1.0: 0.0}
        for face in mesh.faces[(mesh.faces == vertex).any(axis=1)]:
            p, t = mesh.vertices[face].astype(np.float64), uvs[face]
            sides = np.stack((t[1] - t[0], t[2] - t[0]))
            orientation = float(np.sign(np.linalg.det(sides)))
            if orientation == 0.0:
                continue

            along_u = np.linalg.solve(sides, np.stack((p[1] - p[0], p[2] - p[0])))[0]
            along_u -= normal * (normal @ along_u)
            corner = list(face).index(vertex)
            edges = np.stack((p[(corner + 1) % 3], p[(corner + 2) % 3])) - p[corner]
            edges -= (edges @ normal)[:, None] * normal
            edges /= np.linalg.norm(edges, axis=1, keepdims=True)
            angle = float(np.arccos(np.clip(edges[0] @ edges[1], -1.0, 1.0)))
            found[orientation] += angle * along_u / np.linalg.norm(along_u)
            angles[orientation] += angle

        sign = 1.0 if angles[1.0] >= angles[-1.0] else -1.0
        result[vertex] = *(found[sign] / np.linalg.norm(found[sign])), sign
    return result


def test_tangents_agree_with_the_slow_twin_on_both_kinds_of_charts(textured_beacon: TexturedMesh) -> None:
    mirrored = replace(textured_beacon, uvs=textured_beacon.uvs * np.array([-1, 1], np.float32) + np.float32(0))

    for mesh in (textured_beacon, mirrored):
        np.testing.assert_allclose(tangents_of(mesh), slow_twin(mesh), atol=1e-5)
    assert (tangents_of(mirrored)[:, 3] == -tangents_of(textured_beacon)[:, 3]).all()


def test_tangents_are_unit_perpendicular_and_signed(textured_beacon: TexturedMesh) -> None:
    tangents = tangents_of(textured_beacon)

    assert np.linalg.norm(tangents[:, :3], axis=1) == pytest.approx(1.0, abs=1e-6)
    assert np.abs((tangents[:, :3] * textured_beacon.normals).sum(axis=1)).max() < 1e-6
    assert set(tangents[:, 3]) <= {-1.0, 1.0}


@pytest.mark.parametrize(
    ("uvs", "expected"), [(UPRIGHT, (1, 0, 0, 1)), (MIRRORED, (-1, 0, 0, -1))], ids=["upright", "mirrored"]
)
def test_u_grows_along_the_tangent_and_the_picture_goes_up_along_the_bitangent(
    uvs: np.ndarray, expected: tuple[int, ...]
) -> None:
    tangents = vertex_tangents(SQUARE, TOWARDS_VIEWER, uvs, SQUARE_FACES)

    np.testing.assert_allclose(tangents, np.tile(expected, (4, 1)), atol=1e-7)
    bitangents = np.cross(TOWARDS_VIEWER, tangents[:, :3]) * tangents[:, 3:]
    np.testing.assert_allclose(bitangents, np.tile((0, 1, 0), (4, 1)), atol=1e-7)


def test_faces_without_area_in_the_texture_do_not_count() -> None:
    """The second triangle lies on one line of the texture; vertex 3 belongs to it alone."""
    flat = np.array([(0, 1), (1, 1), (1, 0), (0.5, 0.5)], np.float32)

    tangents = vertex_tangents(SQUARE, TOWARDS_VIEWER, flat, SQUARE_FACES)

    np.testing.assert_allclose(tangents[:3], np.tile((1, 0, 0, 1), (3, 1)), atol=1e-7)
    assert np.linalg.norm(tangents[3, :3]) == pytest.approx(1.0)
    assert tangents[3, 2] == pytest.approx(0.0)
    assert tangents[3, 3] in (-1.0, 1.0)


def test_where_both_orientations_meet_the_larger_angle_decides() -> None:
    """The second triangle is folded over in the texture: vertices 0 and 2 belong to both."""
    vertices = SQUARE.copy()
    vertices[3] = (0.2, 0.9, 0)  # a smaller angle at vertices 0 and 2 than the first triangle has
    folded = np.array([(0, 1), (1, 1), (1, 0), (0.8, 0.7)], np.float32)

    tangents = vertex_tangents(vertices, TOWARDS_VIEWER, folded, SQUARE_FACES)

    np.testing.assert_allclose(tangents[[0, 2]], np.tile((1, 0, 0, 1), (2, 1)), atol=1e-7)
    assert tangents[3, 3] == -1.0
