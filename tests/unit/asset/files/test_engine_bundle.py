"""A bundle is the finest level and its hulls under the names of an engine; every vertex is where it was."""

import io
from typing import Any

import numpy as np
import pytest
import trimesh

from dreamfoundry.asset.files.engine_bundle import engine_bundles
from dreamfoundry.asset.files.glb_reader import Glb, read_glb
from dreamfoundry.asset.files.gltf_writer import write_collision_glb, write_glb
from dreamfoundry.asset.gates.khronos import check_khronos
from dreamfoundry.asset.surface.collision import collision_hull
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


def test_each_engine_knows_the_hulls_by_its_own_names(bundles: dict[str, bytes]) -> None:
    assert {name: Glb("", data).node_names for name, data in bundles.items()} == {
        "beacon_unreal.glb": ["beacon_LOD0", "UCX_beacon_LOD0_00", "UCX_beacon_LOD0_01"],
        "beacon_godot.glb": ["beacon_LOD0", "beacon_LOD0_00-convcolonly", "beacon_LOD0_01-convcolonly"],
    }


def test_level_and_hulls_are_those_of_the_files_of_their_own(
    bundles: dict[str, bytes], master: bytes, collision: bytes
) -> None:
    for data in bundles.values():
        first, *hulls = Glb("", data).node_names
        pairs = [(read_glb(data, first), read_glb(master))]
        for hull, own in zip(hulls, Glb("", collision).node_names, strict=True):
            pairs.append((read_glb(data, hull), read_glb(collision, own)))
        for bundled, alone in pairs:
            np.testing.assert_array_equal(bundled.vertices, alone.vertices)
            np.testing.assert_array_equal(bundled.faces, alone.faces)
        assert read_glb(data, first).base_color_png == read_glb(master).base_color_png
        assert read_glb(data, first).document["asset"] == read_glb(master).document["asset"]


def test_another_reader_finds_the_same_scene(bundles: dict[str, bytes]) -> None:
    scene: Any = trimesh.load(io.BytesIO(bundles["beacon_unreal.glb"]), file_type="glb")

    assert set(scene.geometry) == {"beacon_LOD0", "UCX_beacon_LOD0_00", "UCX_beacon_LOD0_01"}


def test_khronos_has_nothing_against_a_bundle(bundles: dict[str, bytes]) -> None:
    findings, reports = check_khronos(bundles)
    if not reports:
        pytest.skip(findings[0].message)

    assert findings == []
