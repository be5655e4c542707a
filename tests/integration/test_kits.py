"""Collected assets become an asset library of Blender; other scripts are at least whole."""

import ast
import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.asset.deliverables import MEDIA_TYPES
from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.cli.main import run
from dreamfoundry.evaluation.delivery.readers import BLENDER_VARIABLE
from dreamfoundry.kits.engines import ENGINES
from dreamfoundry.library.library import Library
from dreamfoundry.library.rows import Row, record_rows
from dreamfoundry.library.views import write_view
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome, Prompt
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity
from support.snapshots import beacon, make_snapshot

PROFILE = ExportProfile(
    "tiny", (1000, 300), (64, 64), thumbnail_px=32, collision_hulls=2, collision_hull_vertices=16, engine_bundles=True
)
PROFILES = {"red": PROFILE, "big": replace(PROFILE, shared_atlas=True)}
PROMPTS = {"red": Prompt("red", "a red beacon", seed=3), "big": Prompt("big", "a big beacon", seed=4)}
TAGS = {"red": ("harbour", "light"), "big": ()}
SCRIPT = Path(__file__).parents[1] / "support" / "blend_contents.py"

needs_blender = pytest.mark.skipif(
    not os.environ.get(BLENDER_VARIABLE), reason=f"{BLENDER_VARIABLE} names no interpreter with the module bpy"
)


GODOT = shutil.which("godot3-server")
SCENES = Path(__file__).parents[1] / "support" / "godot_scenes.gd"
IMPORT_LIMIT_S = 200.0

needs_godot = pytest.mark.skipif(GODOT is None, reason="godot3-server is not installed (Debian's package of Godot 3)")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of two small assets."""
    folder = tmp_path_factory.mktemp("library")
    library = Library(DirectoryStore(folder))
    policy = MetadataPolicy(asset_license="CC-BY-4.0", copyright_holder="Foundry Ltd")
    prior = PriorIdentity("analytic", "1", "0" * 64, "Apache-2.0")
    for number, (prompt_id, prompt) in enumerate(PROMPTS.items()):
        key = f"{number + 1:064x}"
        metadata = asset_metadata(prompt, prior, "f" * 64, key, "e" * 64, PROFILES[prompt_id], policy)

        bundle = export_asset(make_snapshot(beacon), prompt, profile=PROFILES[prompt_id], metadata=metadata)
        outcome = Outcome(
            key,
            "f" * 64,
            prompt_id,
            prompt.text,
            "published",
            slug=bundle.slug,
            files={
                name: library.put_blob(data, MEDIA_TYPES[name.rsplit(".", 1)[-1]])
                for name, data in bundle.files.items()
            },
            provenance={"budget_profile": PROFILE.name},
        )
        assert library.publish(outcome)
        write_view(library, outcome)
        record_rows(library, f"run-{number}", [Row(prompt_id, key, TAGS[prompt_id])])
    return folder


def in_blender(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    python = os.environ[BLENDER_VARIABLE]
    return subprocess.run([python, *words], capture_output=True, text=True, env=environment, check=False, timeout=300)


@pytest.fixture(scope="module")
def collected(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("props")
    assert run(["collect", str(library), str(folder), "--engine", "blender"]) == 0
    return folder


@pytest.fixture(scope="module")
def blend(collected: Path) -> dict[str, Any]:
    """Contents of the file that the script made of the folder."""
    done = in_blender(str(collected / "dreamfoundry_blender.py"), str(collected), str(collected / "library.blend"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 assets are in" in done.stdout
    contents: dict[str, Any] = json.loads(
        in_blender(str(SCRIPT), str(collected / "library.blend")).stdout.split("\n")[-2]
    )
    return contents


def asset_of(blend: dict[str, Any], word: str) -> dict[str, Any]:
    (found,) = (asset for name, asset in blend["assets"].items() if word in name)
    return found


@needs_blender
def test_every_asset_of_the_folder_is_marked_with_what_the_browser_shows(blend: dict[str, Any]) -> None:
    red = asset_of(blend, "red")

    assert len(blend["assets"]) == 2
    assert set(red["tags"]) == {"harbour", "light", "tiny", "made by AI"}
    assert set(asset_of(blend, "big")["tags"]) == {"tiny", "made by AI"}
    assert (red["description"], red["author"]) == ("a red beacon", "Foundry Ltd")
    assert (red["license"], red["copyright"]) == ("CC-BY-4.0", "Foundry Ltd")
    assert red["preview"] == [256, 256]
    assert red["is_drawn"]


@needs_blender
def test_the_finest_level_is_shown_and_hulls_are_not(blend: dict[str, Any]) -> None:
    red = asset_of(blend, "red")
    by_level = {thing["lod"]: thing for thing in red["objects"].values()}

    assert sorted(by_level) == [0, 1]
    assert [by_level[level]["is_hidden"] for level in (0, 1)] == [False, True]
    assert all(thing["location"] == [0.0, 0.0, 0.0] for thing in by_level.values())
    assert 1 <= len(red["hulls"]) <= 2
    assert len(blend["instances"]) == 2


@needs_blender
def test_two_assets_in_one_file_keep_their_own_provenance(blend: dict[str, Any]) -> None:
    told = {word: asset_of(blend, word)["custom"] for word in ("red", "big")}

    assert {word: (one["seed"], one["prompt"]) for word, one in told.items()} == {
        "red": (3, "a red beacon"),
        "big": (4, "a big beacon"),
    }
    assert told["red"]["asset_key"] != told["big"]["asset_key"]
    assert "asset_key" not in blend["scene"]
    assert blend["unpacked"] == []


@needs_blender
def test_levels_with_one_atlas_have_one_material(blend: dict[str, Any]) -> None:
    materials = {word: asset_of(blend, word)["materials"] for word in ("red", "big")}

    assert [len(names) for names in materials.values()] == [2, 1]
    assert not [name for names in materials.values() for name in names if name[-4] == "."]


@needs_blender
def test_catalogs_of_others_stay_and_a_file_that_is_there_is_not_overwritten(
    collected: Path, blend: dict[str, Any], tmp_path: Path
) -> None:
    catalogs = tmp_path / "blender_assets.cats.txt"
    catalogs.write_text("VERSION 1\n\n11111111-2222-3333-4444-555555555555:Props/Mine:Mine\n")
    line = [str(collected / "dreamfoundry_blender.py"), str(collected), str(tmp_path / "library.blend")]
    name = next(name for name in blend["assets"] if "red" in name)

    first = in_blender(*line, "--only", name)
    second = in_blender(*line)

    assert "1 of 1 assets are in" in first.stdout
    assert f"{asset_of(blend, 'red')['catalog_id']}:dreamfoundry/tiny:" in catalogs.read_text()
    assert "Props/Mine" in catalogs.read_text()
    assert second.returncode == 2
    assert "not be there yet" in second.stderr


def scenes_in_godot(files: list[Path], project: Path) -> list[list[str]]:
    """(file, node, class, material) of everything that Godot 3 imports of `files`, all in one folder."""
    for file in files:
        shutil.copy(file, project)
    shutil.copy(SCENES, project)
    (project / "project.godot").write_text("config_version=4\n")
    environment = {**os.environ, "HOME": str(project / ".home"), "XDG_CACHE_HOME": str(project / ".cache")}

    # without a window the editor does not end by itself when everything is imported
    line = [str(GODOT), "--path", str(project)]
    editor = subprocess.Popen(
        [*line, "-e", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    deadline = time.monotonic() + IMPORT_LIMIT_S
    while len(list(project.glob(".import/*.scn"))) < len(files) and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(2.0)  # the last file may be half written
    editor.kill()
    editor.wait()

    shown = subprocess.run([*line, "-s", SCENES.name], capture_output=True, text=True, env=environment, check=True)
    return [line.split("\t")[1:] for line in shown.stdout.splitlines() if line.startswith("node\t")]


@needs_godot
def test_all_files_beside_one_another_in_godot_keep_their_names_and_materials(library: Path, tmp_path: Path) -> None:
    files = sorted(library.glob("assets/*/*/*.glb"))

    nodes = scenes_in_godot(files, tmp_path)

    meshes = {(file, name): material for file, name, kind, material in nodes if kind == "MeshInstance"}
    levels = [file for file in files if not file.stem.endswith(("collision", "godot", "unreal"))]
    for level in levels:
        name = level.stem if "_LOD" in level.stem else f"{level.stem}_LOD0"
        shared = name.replace("LOD1", "LOD0") if "big" in name else name
        assert meshes[level.name, name] == f"res://M_{shared}.material"
    assert len({material for material in meshes.values() if material != "-"}) == 3
    assert len(levels) == 4
    assert {file for file, *_ in nodes} == {file.name for file in files}


@pytest.mark.parametrize("engine", ["blender", "unreal"])
def test_a_script_in_python_needs_nothing_of_ours(engine: str) -> None:
    tree = ast.parse(ENGINES[engine].kit_bytes())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported <= {"argparse", "json", "math", "os", "re", "sys", "uuid", "pathlib", "typing", "bpy", "unreal"}


@pytest.mark.parametrize("engine", ["godot", "unity", "unreal"])
def test_a_script_that_nobody_ran_says_so(engine: str) -> None:
    assert "NOT RUN by those who wrote it" in ENGINES[engine].kit_bytes().decode()[:1000]
