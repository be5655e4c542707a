"""The words of an asset about itself stay with it when other programs put it among others and write it again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.glb import split_glb
from dreamfoundry.asset.files.metadata import SHORT_FORM, asset_metadata
from dreamfoundry.errors import NodeUnavailable
from dreamfoundry.evaluation.delivery.readers import BLENDER_VARIABLE
from dreamfoundry.host.nodejs import package_folder, run_node
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity
from support.snapshots import beacon, make_snapshot

PROFILE = ExportProfile("tiny", (500,), (64,), thumbnail_px=32)
PRIOR = PriorIdentity("analytic", "1", "0" * 64, "Apache-2.0")
KEYS = {"a yellow chair": "c" * 64, "a blue rocket": "d" * 64}
LICENSES = {"a yellow chair": "CC0-1.0", "a blue rocket": "LicenseRef-Studio"}

TOGETHER_IN_BLENDER = """
import os, sys
import bpy

*sources, target = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
for source in sources:
    bpy.ops.import_scene.gltf(filepath=source)
bpy.ops.export_scene.gltf(filepath=target, export_format="GLB", export_extras=True)
sys.stdout.flush()
os._exit(0)
"""

AGAIN_BY_GLTF_TRANSFORM = """
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readFileSync, writeFileSync } from "node:fs";
const [modules, source, target] = process.argv.slice(2);
const require = createRequire(join(modules, "from-here.js"));
const { NodeIO } = await import(pathToFileURL(require.resolve("@gltf-transform/core")));
const io = new NodeIO();
writeFileSync(target, await io.writeBinary(await io.readBinary(new Uint8Array(readFileSync(source)))));
"""


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The finest level of two assets with different owners, by prompt."""
    folder, snapshot, files = tmp_path_factory.mktemp("masters"), make_snapshot(beacon), {}
    for text, key in KEYS.items():
        policy = MetadataPolicy(asset_license=LICENSES[text])
        metadata = asset_metadata(Prompt("row", text), PRIOR, "f" * 64, key, "e" * 64, PROFILE, policy)
        bundle = export_asset(snapshot, Prompt("row", text), profile=PROFILE, metadata=metadata)
        files[text] = folder / f"{bundle.slug}.glb"
        files[text].write_bytes(bundle.files[files[text].name])
    return files


def told(data: bytes, kind: str = "nodes") -> dict[str, dict[str, object]]:
    """Of each node or mesh in a GLB by name, its short form."""
    return {item["name"]: item["extras"]["dreamfoundry"] for item in split_glb(data)[0][kind]}


@pytest.mark.slow
def test_two_assets_in_one_blender_file_keep_their_licences(masters: dict[str, Path], tmp_path: Path) -> None:
    blender = os.environ.get(BLENDER_VARIABLE, "")
    if not shutil.which(blender):
        pytest.skip(f"{BLENDER_VARIABLE} names no interpreter with bpy")
    script, target = tmp_path / "together.py", tmp_path / "together.glb"
    script.write_text(TOGETHER_IN_BLENDER)

    subprocess.run([blender, script, *masters.values(), target], check=True, capture_output=True, timeout=300.0)

    objects = told(target.read_bytes())
    for text, key in KEYS.items():
        own = objects[f"{masters[text].stem}_LOD0"]
        assert (own["asset_key"], own["asset_license"]) == (key, LICENSES[text])
        assert {*SHORT_FORM, "id", "sidecar"} == own.keys()
        assert own["ai_generated"]


def test_gltf_transform_keeps_what_nodes_and_meshes_say(masters: dict[str, Path], tmp_path: Path) -> None:
    try:
        modules = package_folder("@gltf-transform/core").parents[1]
    except NodeUnavailable as absent:
        pytest.skip(str(absent))
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    script, source = tmp_path / "again.mjs", masters["a blue rocket"]
    script.write_text(AGAIN_BY_GLTF_TRANSFORM)

    run_node(script, [str(modules), str(source), "again.glb"], tmp_path, 60.0)

    before, after = source.read_bytes(), (tmp_path / "again.glb").read_bytes()
    for kind in ("nodes", "meshes"):
        assert told(after, kind) == told(before, kind)
    assert split_glb(after)[0]["asset"]["extras"]["license"] == "LicenseRef-Studio"
