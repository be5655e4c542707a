"""An engine gets the files that it can use, once each, and its script."""

import pytest

from dreamfoundry.kits.engines import ENGINES
from support.collected import FILES

NAMES = [form.format("mug") for form in FILES]

WANTED = {
    "": sorted(NAMES),
    "blender": ["asset.json", "mug.glb", "mug_LOD1.glb", "mug_collision.glb", "thumbnail.png"],
    "godot": ["asset.json", "mug_LOD1.glb", "mug_godot.glb"],
    "unreal": ["asset.json", "mug_LOD1.glb", "mug_unreal.glb"],
    "unity": ["asset.json", "mug.glb", "mug_LOD1.glb", "mug_collision.glb"],
}


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_wants_its_own_files(name: str) -> None:
    assert ENGINES[name].wanted(NAMES, "mug") == WANTED[name]


@pytest.mark.parametrize("name", ["godot", "unreal"])
def test_where_there_is_no_bundle_the_finest_level_and_the_hulls_come_as_they_are(name: str) -> None:
    without = [one for one in NAMES if "godot" not in one and "unreal" not in one]

    assert ENGINES[name].wanted(without, "mug") == ["asset.json", "mug.glb", "mug_LOD1.glb", "mug_collision.glb"]


@pytest.mark.parametrize("name", ["blender", "godot", "unreal", "unity"])
def test_an_engine_has_a_script_that_says_how_it_is_started(name: str) -> None:
    kit = ENGINES[name].kit_bytes().decode()

    assert ENGINES[name].place.rpartition("/")[2] in kit[:3000]
    assert "dreamfoundry collect" in kit[:3000]
