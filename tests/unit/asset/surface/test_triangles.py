"""Handles are counted, whatever the number of triangles; each side is found in the other face too."""

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.surface.triangles import genus, twin_sides
from dreamfoundry.records import Surface


@pytest.mark.parametrize("sections", [8, 32])
def test_handles_are_counted(sections: int) -> None:
    ring = trimesh.creation.torus(1.0, 0.3, major_sections=sections, minor_sections=sections)
    for mesh, expected in ((trimesh.creation.icosphere(subdivisions=1), 0), (ring, 1)):
        assert genus(Surface(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))) == expected


def test_the_twin_of_a_side_is_the_same_edge_the_other_way_round() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=2)
    faces = mesh.faces.astype(np.int64)
    sides = [(int(face[k]), int(face[(k + 1) % 3])) for face in faces for k in range(3)]

    assert [sides[twin] for twin in twin_sides(faces, len(mesh.vertices))] == [(end, start) for start, end in sides]
