"""The GLB holds what it was given, in bytes that never change, and other readers agree."""

import io
import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh

from dreamfoundry.collision import collision_hull
from dreamfoundry.glb_reader import node_names, read_glb
from dreamfoundry.gltf import collision_glb, glb
from dreamfoundry.records import Surface, TexturedMesh

METADATA = {"prompt": "a beacon", "negative_prompt": "", "seed": 3, "nested": {"b": 1, "a": [1.5]}}


def written(mesh: TexturedMesh) -> bytes:
    return glb(mesh, slug="beacon", level=0, metadata=METADATA, copyright_text="nobody")


def document(data: bytes) -> dict[str, Any]:
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


def test_what_is_read_back_is_what_was_written(textured_beacon: TexturedMesh) -> None:
    mesh = read_glb(written(textured_beacon))

    np.testing.assert_array_equal(mesh.vertices, textured_beacon.vertices)
    np.testing.assert_array_equal(mesh.normals, textured_beacon.normals)
    np.testing.assert_array_equal(mesh.uvs, textured_beacon.uvs)
    np.testing.assert_array_equal(mesh.faces, textured_beacon.faces)
    np.testing.assert_array_equal(mesh.base_color(), textured_beacon.base_color)


def test_trimesh_reads_the_same_mesh_and_texture(textured_beacon: TexturedMesh) -> None:
    mesh = trimesh.load(io.BytesIO(written(textured_beacon)), file_type="glb", force="mesh", process=False)

    np.testing.assert_array_equal(mesh.vertices, textured_beacon.vertices)
    np.testing.assert_allclose(mesh.visual.uv, textured_beacon.uvs * (1, -1) + (0, 1), atol=1e-6)
    assert mesh.visual.material.baseColorTexture.size == (128, 128)


def test_names_material_and_metadata_are_explicit(textured_beacon: TexturedMesh) -> None:
    found = document(written(textured_beacon))

    assert found["nodes"][0]["name"] == found["meshes"][0]["name"] == "beacon_LOD0"
    material = found["materials"][0]
    assert material["name"] == "M_beacon"
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0.0
    assert material["pbrMetallicRoughness"]["roughnessFactor"] == 0.9
    assert found["asset"]["extras"] == found["scenes"][0]["extras"] == {"dreamfoundry": METADATA}
    assert found["asset"]["copyright"] == "nobody"
    assert [view.get("target") for view in found["bufferViews"]] == [34962, 34962, 34962, 34963, None]
    assert all(view["byteOffset"] % 4 == 0 for view in found["bufferViews"])
    position = found["accessors"][found["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert position["max"] == textured_beacon.vertices.max(axis=0).tolist()


def test_equal_input_gives_equal_bytes_whatever_the_order_of_its_metadata(textured_beacon: TexturedMesh) -> None:
    reordered = dict(reversed(METADATA.items()))

    again = glb(textured_beacon, slug="beacon", level=0, metadata=reordered, copyright_text="nobody")

    assert again == written(textured_beacon)


def test_many_vertices_take_wide_indices(textured_beacon: TexturedMesh) -> None:
    count = 70_000 // len(textured_beacon.vertices) + 1
    offsets = np.arange(count, dtype=np.uint32)[:, None, None] * np.uint32(len(textured_beacon.vertices))
    large = replace(
        textured_beacon,
        vertices=np.tile(textured_beacon.vertices, (count, 1)),
        normals=np.tile(textured_beacon.normals, (count, 1)),
        uvs=np.tile(textured_beacon.uvs, (count, 1)),
        faces=(textured_beacon.faces + offsets).reshape(-1, 3),
    )

    np.testing.assert_array_equal(read_glb(written(large)).faces, large.faces)


def test_collision_hulls_have_their_engine_names_and_no_material(torus_surface: Surface) -> None:
    hulls = [collision_hull(torus_surface, 16), collision_hull(torus_surface, 8)]

    data = collision_glb(hulls, slug="ring", metadata=METADATA, copyright_text="nobody")

    assert node_names(data) == ["UCX_ring_LOD0_00", "UCX_ring_LOD0_01"]
    assert document(data)["scenes"][0]["nodes"] == [0, 1]
    assert "materials" not in document(data) or not document(data)["materials"]
    for name, hull in zip(node_names(data), hulls, strict=True):
        np.testing.assert_array_equal(read_glb(data, name).vertices, hull.vertices)
        np.testing.assert_array_equal(read_glb(data, name).faces, hull.faces)


@pytest.mark.parametrize("data", [b"", b"glTF", b"PK\3\4" + bytes(40)])
def test_a_file_that_is_no_glb_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="GLB"):
        read_glb(data)
