"""Import a folder of collected assets into Unreal: dreamfoundry_unreal.py

NOT RUN by those who wrote it: no Unreal Editor was at hand. It is written to the documented interfaces of Unreal 5.4
(StaticMeshEditorSubsystem, EditorAssetLibrary, AssetImportTask, glTF through Interchange). Try it on one asset first.

    dreamfoundry collect LIBRARY FOLDER --engine unreal

Enable the plugins Python Editor Script Plugin and Editor Scripting Utilities, then in the editor's Output Log, set
to Python:

    import sys; sys.path.append(r"FOLDER"); import dreamfoundry_unreal
    dreamfoundry_unreal.import_folder(r"FOLDER", "/Game/Props")

Every asset becomes one StaticMesh, /Game/Props/NAME/..., with its levels as LOD 0, 1, ..., the screen sizes of
asset.json, the convex hulls UCX_... of its first file as simple collision, and its provenance as metadata tags, which
Unreal's asset registry finds. An asset that is there already is imported again in its place.
"""

import json
from pathlib import Path
from typing import Any

import unreal

TOLD = (
    "prompt",
    "seed",
    "asset_key",
    "asset_license",
    "copyright_holder",
    "ai_generated",
    "research_only",
    "export_profile",
)
"""Keys of the metadata in asset.json that become tags of the StaticMesh."""


def import_folder(folder: str, destination: str, only: tuple[str, ...] = ()) -> int:
    """Import every asset of a folder, or those called `only`; the number of assets that failed."""
    sidecars = [path for path in sorted(Path(folder).glob("*/asset.json")) if not only or path.parent.name in only]
    if not sidecars:
        raise ValueError(f"{folder} has no asset.json in a folder; it was not collected, or not with these names")

    failed = 0
    with unreal.ScopedSlowTask(len(sidecars), "Importing assets") as progress:
        progress.make_dialog(True)
        for path in sidecars:
            if progress.should_cancel():
                break
            progress.enter_progress_frame(1, path.parent.name)
            try:
                mesh = import_asset(path, f"{destination.rstrip('/')}/{path.parent.name}")
                unreal.log(f"imported {mesh.get_path_name()}")
            except (RuntimeError, KeyError, ValueError) as error:
                failed += 1
                unreal.log_error(f"{path.parent.name}: {error}")
    unreal.log(f"{len(sidecars) - failed} of {len(sidecars)} assets imported into {destination}")
    return failed


def import_asset(sidecar: Path, destination: str) -> unreal.StaticMesh:
    """One StaticMesh with all levels; RuntimeError where a file gives no mesh."""
    asset = json.loads(sidecar.read_text(encoding="utf-8"))
    editor = unreal.get_editor_subsystem(unreal.StaticMeshEditorSubsystem)
    levels = levels_of(asset)

    bundle = sidecar.parent / f"{asset['slug']}_unreal.glb"
    mesh = import_mesh(bundle if bundle.exists() else sidecar.parent / levels[0], destination)
    for number, name in enumerate(levels[1:], start=1):
        source = import_mesh(sidecar.parent / name, f"{destination}/LOD{number}")
        # names tell contents: a level with the pictures of the finest shares its material slot
        reuse = asset["files"][name]["textures_px"].keys() == asset["files"][levels[0]]["textures_px"].keys()
        if editor.set_lod_from_static_mesh(mesh, number, source, 0, reuse) != number:
            raise RuntimeError(f"LOD{number} was not taken over from {name}")
        unreal.EditorAssetLibrary.delete_loaded_asset(source)  # its materials and textures stay

    editor.set_lod_screen_sizes(mesh, screen_sizes(asset, levels))
    for key in TOLD:
        value = asset["metadata"].get(key, "")
        unreal.EditorAssetLibrary.set_metadata_tag(mesh, f"dreamfoundry_{key}", str(value))
    unreal.EditorAssetLibrary.save_directory(destination, only_if_is_dirty=True, recursive=True)
    return mesh


def import_mesh(path: Path, destination: str) -> unreal.StaticMesh:
    """The StaticMesh of a GLB; RuntimeError where none comes out of it."""
    task = unreal.AssetImportTask()
    task.filename, task.destination_path = str(path), destination
    task.automated, task.replace_existing, task.save = True, True, False
    unreal.AssetToolsHelpers.get_asset_tools().import_asset_tasks([task])

    meshes = [thing for thing in task.get_objects() if isinstance(thing, unreal.StaticMesh)]
    if not meshes:
        raise RuntimeError(f"{path.name} gave no StaticMesh; is the plugin Interchange for glTF enabled?")
    return next((mesh for mesh in meshes if not mesh.get_name().startswith("UCX_")), meshes[0])


def levels_of(asset: dict[str, Any]) -> list[str]:
    """Names of the files of the levels, finest first."""
    by_level = {entry["level"]: name for name, entry in asset["files"].items() if entry.get("role") == "level"}
    return [by_level[level] for level in sorted(by_level)]


def screen_sizes(asset: dict[str, Any], levels: list[str]) -> list[float]:
    """Share of the screen's height below which each level is shown: 1 for the finest, then falling."""
    sizes = [1.0]
    for name in levels[1:]:
        size = asset["files"][name].get("screen_size") or sizes[-1] / 2
        sizes.append(min(float(size), sizes[-1] * 0.99))
    return sizes
