"""Two assets of one prompt in one folder: an engine that goes by names never takes the picture of one for another's."""

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.errors import NodeUnavailable
from dreamfoundry.host.nodejs import package_folder, run_node
from dreamfoundry.records import FieldSnapshot
from support.beacon_asset import EVERYTHING, PRIOR, PROMPT

KEYS = ("a" * 64, "aaaa" + "b" * 60)
PROFILE = replace(EVERYTHING, triangles=(1000, 300), texture_px=(128, 64), usdz=False)


@pytest.fixture(scope="module", params=["an atlas for each level", "one atlas"])
def library(request: pytest.FixtureRequest, beacon_snapshot: FieldSnapshot) -> list[Glb]:
    """Every GLB of two assets that differ in their keys alone."""
    profile = replace(PROFILE, shared_atlas=request.param == "one atlas")
    glbs = []
    for key in KEYS:
        metadata = asset_metadata(PROMPT, PRIOR, "f" * 64, key, "e" * 64, profile)
        files = export_asset(beacon_snapshot, PROMPT, profile=profile, metadata=metadata).files
        glbs += [Glb(name, data) for name, data in files.items() if name.endswith(".glb")]
    return glbs


def named_parts(glb: Glb) -> Iterator[tuple[str, str]]:
    """Each material and texture of a file: its name, and a digest of all that it is."""
    document = glb.document
    pictures = [hashlib.sha256(glb.image(number)).hexdigest() for number in range(len(document.get("images", ())))]
    for image, picture in zip(document.get("images", ()), pictures, strict=True):
        yield image["name"], picture
    for material in document.get("materials", ()):
        yield material["name"], json.dumps([material, pictures], sort_keys=True)


def test_materials_and_textures_of_one_name_are_equal_to_the_byte(library: list[Glb]) -> None:
    contents: dict[str, set[str]] = defaultdict(set)
    for glb in library:
        for name, content in named_parts(glb):
            contents[name].add(content)

    assert {name for name, different in contents.items() if len(different) > 1} == set()
    assert len(contents) >= 2 * 9  # two levels with three pictures each, and the dense surface


def test_files_lie_beside_each_other_in_one_folder(library: list[Glb]) -> None:
    names = [glb.name.lower() for glb in library]

    assert len(set(names)) == len(names) >= 12


def test_nodes_of_one_asset_are_those_of_no_other_and_a_scene_is_called_as_no_node(library: list[Glb]) -> None:
    half = len(library) // 2
    one, other = ({node for glb in glbs for node in glb.node_names} for glbs in (library[:half], library[half:]))

    assert one & other == set()
    assert {glb.document["scenes"][0]["name"] for glb in library} == {"Scene"}
    assert "Scene" not in one | other


FIND = """
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";
const [modules, file, name] = process.argv.slice(2);
const require = createRequire(join(modules, "from-here.js"));
globalThis.self = globalThis;
const { GLTFLoader } = await import(pathToFileURL(join(modules, "three/examples/jsm/loaders/GLTFLoader.js")));
const data = readFileSync(file);
const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
const { scene } = await new GLTFLoader().parseAsync(bytes, "");
const found = scene.getObjectByName(name);
console.log(JSON.stringify({ mesh: Boolean(found?.isMesh), told: found?.userData.dreamfoundry.asset_license }));
"""


def test_three_js_finds_the_mesh_by_its_name_and_reads_its_licence(library: list[Glb], tmp_path: Path) -> None:
    dense = next(glb for glb in library if glb.name.endswith("_dense.glb"))  # its colours need no canvas
    try:
        modules = package_folder("three").parent
    except NodeUnavailable as absent:
        pytest.skip(str(absent))
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")

    (tmp_path / "find.mjs").write_text(FIND)
    (tmp_path / "dense.glb").write_bytes(dense.data)
    answer = run_node(tmp_path / "find.mjs", [str(modules), "dense.glb", dense.node_names[0]], tmp_path, 60.0)

    assert json.loads(answer) == {"mesh": True, "told": "NOASSERTION"}
