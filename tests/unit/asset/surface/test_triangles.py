"""Handles are counted, whatever the number of triangles."""

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.surface.triangles import genus
from dreamfoundry.records import Surface


@pytest.mark.parametrize("sections", [8, 32])
def test_handles_are_counted(sections: int) -> None:
    ring = trimesh.creation.torus(1.0, 0.3, major_sections=sections, minor_sections=sections)
    for mesh, expected in ((trimesh.creation.icosphere(subdivisions=1), 0), (ring, 1)):
        assert genus(Surface(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))) == expected
