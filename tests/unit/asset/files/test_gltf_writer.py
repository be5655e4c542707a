"""The GLB holds what it was given, in bytes that never change, and other readers agree."""

import io
import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.files.glb_reader import Glb, read_glb
from dreamfoundry.asset.files.gltf_writer import write_collision_glb, write_glb
from dreamfoundry.asset.surface.collision import collision_hull
from dreamfoundry.records import ColoredMesh, Surface, TexturedMesh

METADATA = {"prompt": "a beacon", "negative_prompt": "", "seed": 3, "nested": {"b": 1, "a": [1.5]}}


def written(mesh: TexturedMesh | ColoredMesh) -> bytes:
    return write_glb(mesh, slug="beacon", level=0, metadata=METADATA, copyright_text="nobody")


def document(data: bytes) -> dict[str, Any]:
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


def container(content: dict[str, Any], original: bytes) -> bytes:
    """`original` with another document."""
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    rest = original[20 + struct.unpack_from("<I", original, 12)[0] :]
    length = 20 + len(text) + len(rest)
    return struct.pack("<4sII", b"glTF", 2, length) + struct.pack("<I4s", len(text), b"JSON") + text + rest


def test_what_is_read_back_is_what_was_written(textured_beacon: TexturedMesh) -> None:
    mesh = read_glb(written(textured_beacon))

    np.testing.assert_array_equal(mesh.vertices, textured_beacon.vertices)
    np.testing.assert_array_equal(mesh.normals, textured_beacon.normals)
    np.testing.assert_array_equal(mesh.uvs, textured_beacon.uvs)
    np.testing.assert_array_equal(mesh.faces, textured_beacon.faces)
    np.testing.assert_array_equal(mesh.base_color, textured_beacon.base_color)


def test_detail_is_read_back_as_it_was_written(detailed_beacon: TexturedMesh) -> None:
    assert detailed_beacon.detail is not None

    mesh = read_glb(written(detailed_beacon))

    assert mesh.tangents is not None
    np.testing.assert_array_equal(mesh.tangents, detailed_beacon.detail.tangents)
    np.testing.assert_array_equal(mesh.normal_map, detailed_beacon.detail.normal_map)
    np.testing.assert_array_equal(mesh.occlusion, detailed_beacon.detail.occlusion)


def test_a_flat_level_has_neither_normal_map_nor_tangents(detailed_beacon: TexturedMesh) -> None:
    assert detailed_beacon.detail is not None
    flat = replace(detailed_beacon, detail=replace(detailed_beacon.detail, tangents=None, normal_map=None))

    mesh = read_glb(written(flat))

    assert (mesh.tangents, mesh.normal_map_png) == (None, b"")
    np.testing.assert_array_equal(mesh.occlusion, detailed_beacon.detail.occlusion)


def test_a_mesh_without_detail_says_that_it_has_none(textured_beacon: TexturedMesh) -> None:
    mesh = read_glb(written(textured_beacon))

    assert mesh.tangents is None
    assert mesh.colors is None
    for absent in ("normal_map", "occlusion"):
        with pytest.raises(ValueError, match="texture"):
            getattr(mesh, absent)


def test_occlusion_has_one_channel_and_roughness_is_a_factor(detailed_beacon: TexturedMesh) -> None:
    found = document(written(detailed_beacon))

    assert [image["name"] for image in found["images"]] == ["T_beacon_LOD0_BC", "T_beacon_LOD0_N", "T_beacon_LOD0_AO"]
    material = found["materials"][0]
    factors = material["pbrMetallicRoughness"]
    assert "metallicRoughnessTexture" not in factors
    assert (factors["metallicFactor"], factors["roughnessFactor"]) == (0.0, 0.9)
    assert (material["normalTexture"]["index"], material["occlusionTexture"]) == (1, {"index": 2, "strength": 1.0})


def test_colours_at_the_vertices_take_the_place_of_a_texture(colored_beacon: ColoredMesh) -> None:
    data = write_glb(colored_beacon, slug="beacon", level=None, metadata=METADATA, copyright_text="nobody")

    mesh = read_glb(data)

    np.testing.assert_array_equal(mesh.colors, colored_beacon.colors)
    assert mesh.uvs is None
    assert not document(data).get("images")
    assert document(data)["nodes"][0]["name"] == "beacon_dense"
    with pytest.raises(ValueError, match="base colour texture"):
        _ = mesh.base_color


def _rough_by_texture(content: dict[str, Any]) -> None:
    content["materials"][0]["pbrMetallicRoughness"]["metallicRoughnessTexture"] = {"index": 2}


def _half_strength(content: dict[str, Any]) -> None:
    content["materials"][0]["normalTexture"]["scale"] = 0.5


def _second_uv_set(content: dict[str, Any]) -> None:
    content["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["texCoord"] = 1


def _emission(content: dict[str, Any]) -> None:
    content["materials"][0]["emissiveTexture"] = {"index": 0}


def _tangents_without_sign(content: dict[str, Any]) -> None:
    attributes = content["meshes"][0]["primitives"][0]["attributes"]
    attributes["TANGENT"] = attributes["NORMAL"]


def _other_attribute(content: dict[str, Any]) -> None:
    attributes = content["meshes"][0]["primitives"][0]["attributes"]
    attributes["_TANGENT"] = attributes.pop("TANGENT")


def _interleaved(content: dict[str, Any]) -> None:
    content["bufferViews"][0]["byteStride"] = 24


def _fewer_normals(content: dict[str, Any]) -> None:
    accessor = content["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]
    content["accessors"][accessor]["count"] -= 1


def _points(content: dict[str, Any]) -> None:
    content["meshes"][0]["primitives"][0]["mode"] = 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_rough_by_texture, "metallicRoughnessTexture"),
        (_half_strength, "full strength"),
        (_second_uv_set, "TEXCOORD_0"),
        (_emission, "emissiveTexture"),
        (_tangents_without_sign, "TANGENT of VEC3"),
        (_other_attribute, "_TANGENT"),
        (_interleaved, "interleaved"),
        (_fewer_normals, "lengths differ"),
        (_points, "mode 0"),
    ],
)
def test_what_no_delivered_file_has_is_refused(detailed_beacon: TexturedMesh, change: Any, word: str) -> None:
    data = written(detailed_beacon)
    content = document(data)
    change(content)

    with pytest.raises(ValueError, match=word):
        read_glb(container(content, data))


def test_trimesh_reads_the_same_mesh_and_texture(textured_beacon: TexturedMesh) -> None:
    mesh: Any = trimesh.load(io.BytesIO(written(textured_beacon)), file_type="glb", force="mesh", process=False)

    np.testing.assert_array_equal(mesh.vertices, textured_beacon.vertices)
    np.testing.assert_allclose(mesh.visual.uv, textured_beacon.uvs * np.array((1, -1)) + np.array((0, 1)), atol=1e-6)
    assert mesh.visual.material.baseColorTexture.size == (128, 128)


def test_names_material_and_metadata_are_explicit(textured_beacon: TexturedMesh) -> None:
    found = document(written(textured_beacon))

    assert found["nodes"][0]["name"] == found["meshes"][0]["name"] == "beacon_LOD0"
    material = found["materials"][0]
    assert material["name"] == "M_beacon_LOD0"
    assert found["scenes"][0]["name"] == "Scene"
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0.0
    assert material["pbrMetallicRoughness"]["roughnessFactor"] == 0.9
    assert found["scenes"][0]["extras"] == {"dreamfoundry": METADATA}
    assert found["asset"]["extras"]["dreamfoundry"] == METADATA
    assert found["asset"]["copyright"] == "nobody"
    assert [view.get("target") for view in found["bufferViews"]] == [34962, 34962, 34962, 34963, None]
    assert all(view["byteOffset"] % 4 == 0 for view in found["bufferViews"])
    position = found["accessors"][found["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert position["max"] == textured_beacon.vertices.max(axis=0).tolist()


def test_equal_input_gives_equal_bytes_whatever_the_order_of_its_metadata(textured_beacon: TexturedMesh) -> None:
    reordered = dict(reversed(METADATA.items()))

    again = write_glb(textured_beacon, slug="beacon", level=0, metadata=reordered, copyright_text="nobody")

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

    data = write_collision_glb(hulls, slug="ring", metadata=METADATA, copyright_text="nobody")

    assert Glb("", data).node_names == ["UCX_ring_LOD0_00", "UCX_ring_LOD0_01"]
    assert document(data)["scenes"][0]["nodes"] == [0, 1]
    assert "materials" not in document(data) or not document(data)["materials"]
    for name, hull in zip(Glb("", data).node_names, hulls, strict=True):
        np.testing.assert_array_equal(read_glb(data, name).vertices, hull.vertices)
        np.testing.assert_array_equal(read_glb(data, name).faces, hull.faces)


@pytest.mark.parametrize("data", [b"", b"glTF", b"PK\3\4" + bytes(40)])
def test_a_file_that_is_no_glb_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="GLB"):
        read_glb(data)
