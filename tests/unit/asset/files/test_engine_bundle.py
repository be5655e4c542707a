"""A bundle is the finest level and its hulls in the form of an engine; every vertex is where it was."""

import io
from typing import Any

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.files.engine_bundle import engine_bundles
from dreamfoundry.asset.files.glb import join_glb, split_glb
from dreamfoundry.asset.files.glb_reader import Glb, read_glb
from dreamfoundry.asset.files.gltf_writer import write_collision_glb, write_glb
from dreamfoundry.asset.gates.khronos import check_khronos, is_expected
from dreamfoundry.asset.surface.collision import collision_hull
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import Surface, TexturedMesh

TOLD: dict[str, Any] = {"metadata": {"prompt": "a beacon"}, "copyright_text": "nobody"}


@pytest.fixture(scope="module")
def master(textured_beacon: TexturedMesh) -> bytes:
    return write_glb(textured_beacon, slug="beacon", level=0, **TOLD)


@pytest.fixture(scope="module")
def collision(torus_surface: Surface) -> bytes:
    return write_collision_glb([collision_hull(torus_surface, count) for count in (8, 32)], slug="beacon", **TOLD)


@pytest.fixture(scope="module")
def bundles(master: bytes, collision: bytes) -> dict[str, bytes]:
    return engine_bundles(Glb("beacon.glb", master), Glb("beacon_collision.glb", collision), slug="beacon")


def test_unreal_knows_the_hulls_by_their_prefix(bundles: dict[str, bytes]) -> None:
    assert Glb("", bundles["beacon_unreal.glb"]).node_names == [
        "beacon_LOD0",
        "UCX_beacon_LOD0_00",
        "UCX_beacon_LOD0_01",
    ]


def test_godot_gets_one_body_with_the_level_and_a_convex_shape_for_each_hull(bundles: dict[str, bytes]) -> None:
    document = Glb("", bundles["beacon_godot.glb"]).document
    nodes = {node["name"]: node for node in document["nodes"]}
    (root,) = document["scenes"][0]["nodes"]
    children = [document["nodes"][number]["name"] for number in document["nodes"][root]["children"]]
    shapes = document["extensions"]["OMI_physics_shape"]["shapes"]

    assert document["nodes"][root]["name"] == "beacon"
    assert nodes["beacon"]["extensions"] == {"OMI_physics_body": {"motion": {"type": "static"}}}
    assert children == ["beacon_LOD0", "beacon_LOD0_hull_00", "beacon_LOD0_hull_01"]
    assert {"OMI_physics_body", "OMI_physics_shape"} <= set(document["extensionsUsed"])
    assert not document.get("extensionsRequired")
    for number, name in enumerate(children[1:]):
        assert nodes[name]["extensions"] == {"OMI_physics_body": {"collider": {"shape": number}}}
        assert "mesh" not in nodes[name]  # else it would be drawn
        assert shapes[number]["type"] == "convex"
        assert document["meshes"][shapes[number]["convex"]["mesh"]]["name"] == name


def test_level_and_hulls_are_those_of_the_files_of_their_own(
    bundles: dict[str, bytes], master: bytes, collision: bytes
) -> None:
    alone = [read_glb(master), *(read_glb(collision, name) for name in Glb("", collision).node_names)]
    for name, data in bundles.items():
        document, binary = split_glb(data)
        as_nodes = [{"name": str(number), "mesh": number} for number in range(len(document["meshes"]))]
        bundled = Glb(name, join_glb(canonical_json({**document, "nodes": as_nodes}), binary))

        for number, own in enumerate(alone):
            mesh = bundled.mesh_of(str(number))
            np.testing.assert_array_equal(mesh.vertices, own.vertices)
            np.testing.assert_array_equal(mesh.faces, own.faces)
        assert len(alone) == len(as_nodes)
        assert bundled.mesh_of("0").base_color_png == alone[0].base_color_png
        assert document["asset"] == alone[0].document["asset"]


def test_another_reader_finds_the_same_scenes(bundles: dict[str, bytes]) -> None:
    scenes: dict[str, Any] = {name: trimesh.load(io.BytesIO(data), file_type="glb") for name, data in bundles.items()}

    assert set(scenes["beacon_unreal.glb"].geometry) == {"beacon_LOD0", "UCX_beacon_LOD0_00", "UCX_beacon_LOD0_01"}
    shown = {scenes["beacon_godot.glb"].graph[node][1] for node in scenes["beacon_godot.glb"].graph.nodes_geometry}
    assert shown == {"beacon_LOD0"}


def test_khronos_has_nothing_against_a_bundle(bundles: dict[str, bytes]) -> None:
    findings, reports = check_khronos(bundles)
    if not reports:
        pytest.skip(findings[0].message)

    assert findings == []


@pytest.mark.parametrize(
    ("name", "code", "pointer", "expected"),
    [
        ("a_godot.glb", "UNUSED_OBJECT", "/meshes/3", True),
        ("a_godot.glb", "UNUSED_OBJECT", "/meshes/0", False),
        ("a_godot.glb", "UNUSED_OBJECT", "/accessors/3", False),
        ("a_unreal.glb", "UNUSED_OBJECT", "/meshes/3", False),
    ],
)
def test_only_the_mesh_of_a_shape_may_look_unused(name: str, code: str, pointer: str, expected: bool) -> None:
    assert is_expected(name, {"code": code, "pointer": pointer, "message": "This object may be unused."}) == expected
