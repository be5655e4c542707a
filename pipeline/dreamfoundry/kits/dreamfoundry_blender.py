"""Make an asset library of Blender out of a folder of collected assets: dreamfoundry_blender.py

    dreamfoundry collect LIBRARY FOLDER --engine blender
    blender --background --python FOLDER/dreamfoundry_blender.py -- FOLDER library.blend

or `python FOLDER/dreamfoundry_blender.py FOLDER library.blend` by an interpreter with the module bpy. Blender 4.2 or
newer. `--only NAME`, which can be repeated, takes some of the folder; `--replace` writes over library.blend.

Every asset becomes a collection, marked as asset, with picture, tags, description, licence and copyright, and with
its provenance as custom properties. It stands at the origin and holds the levels, of which the finest is shown, and
the hulls, which are hidden. What is seen in the file is a collection of instances in rows. blender_assets.cats.txt
beside library.blend has a catalog for each export profile; catalogs of others that stand in it stay.

Add the folder of library.blend under Preferences, File Paths, Asset Libraries.
"""

import argparse
import json
import math
import os
import re
import sys
import uuid
from pathlib import Path
from typing import Any

import bpy

PREVIEW_PX = 256
GAP = 1.5
"""Distance of neighbours in the overview, by the longest side of their row."""

CATALOGS = "blender_assets.cats.txt"
CATALOGS_HEAD = "# This is an Asset Catalog Definition file for Blender.\n\nVERSION 1\n\n"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "dreamfoundry/asset-catalogs")

TOLD = (
    "prompt",
    "negative_prompt",
    "seed",
    "asset_key",
    "field_key",
    "export_profile",
    "asset_license",
    "ai_generated",
    "research_only",
)
"""Keys of the metadata in asset.json that become custom properties of the collection."""


def main(words: list[str]) -> int:
    """Import, save, and say how many assets there are; the exit code."""
    parser = argparse.ArgumentParser(prog="dreamfoundry_blender.py", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="what `dreamfoundry collect --engine blender` has filled")
    parser.add_argument("library", type=Path, help="the .blend file to write")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only the asset of this name")
    parser.add_argument("--replace", action="store_true", help="write over a file that is there")
    options = parser.parse_args(words)

    library = options.library.resolve()
    sidecars = {path.parent.name: path for path in sorted(options.folder.glob("*/asset.json"))}
    unknown = sorted(set(options.only) - sidecars.keys())
    if unknown or not sidecars:
        parser.error(f"{options.folder} has no {', '.join(unknown) or 'asset.json in a folder'}; it was not collected")
    if library.suffix != ".blend" or (library.exists() and not options.replace):
        parser.error(f"{library}: must end in .blend and not be there yet; --replace writes over it")

    bpy.ops.wm.read_factory_settings(use_empty=True)
    chosen = [path for name, path in sidecars.items() if not options.only or name in options.only]
    tags = tags_of(options.folder)
    failed = 0
    for path in chosen:
        try:
            collection = import_asset(path, tags.get(path.parent.name, []))
            print(f"imported  {collection.name}: {len(collection.all_objects)} objects", flush=True)
        except (RuntimeError, KeyError, ValueError) as error:
            failed += 1
            print(f"not ok    {path.parent.name}: {type(error).__name__}: {error}", flush=True)

    bpy.data.orphans_purge(do_recursive=True)
    show_overview([one for one in bpy.data.collections if one.asset_data])
    library.parent.mkdir(parents=True, exist_ok=True)
    write_catalogs(library.parent / CATALOGS)
    bpy.ops.wm.save_as_mainfile(filepath=str(library), compress=True)
    print(f"{len(chosen) - failed} of {len(chosen)} assets are in {library}", flush=True)
    return 1 if failed else 0


def tags_of(folder: Path) -> dict[str, list[str]]:
    """Tags by the name of an asset, as its rows of the manifest had them."""
    record = folder / "collection.json"
    if not record.exists():
        return {}
    return {name: one["tags"] for name, one in json.loads(record.read_text(encoding="utf-8"))["assets"].items()}


def import_asset(sidecar: Path, tags: list[str]) -> bpy.types.Collection:
    """The collection of one asset, marked; RuntimeError where a file of it cannot be read."""
    asset = json.loads(sidecar.read_text(encoding="utf-8"))
    collection = bpy.data.collections.new(asset["slug"])
    bpy.context.scene.collection.children.link(collection)

    levels = levels_of(asset)
    for level, name in enumerate(levels):
        for thing in import_file(sidecar.parent / name):
            collection.objects.link(thing)
            thing["lod"] = level
            if "screen_size" in asset["files"][name]:
                thing["screen_size"] = asset["files"][name]["screen_size"]
            thing.hide_viewport = thing.hide_render = level > 0
    share_materials(collection)

    hulls = sidecar.parent / f"{asset['slug']}_collision.glb"
    if hulls.exists():
        inner = bpy.data.collections.new(f"{asset['slug']}_collision")
        collection.children.link(inner)
        inner.hide_viewport = inner.hide_render = True
        for thing in import_file(hulls):
            inner.objects.link(thing)
            thing.display_type = "WIRE"

    mark(collection, asset, tags, sidecar.parent / "thumbnail.png")
    return collection


def share_materials(collection: bpy.types.Collection) -> None:
    """Give levels with one material in their files one here: Blender numbers what it imports a second time.

    Those are one that have one name, but for the number, and equal pictures.
    """
    slots = [slot for thing in collection.objects for slot in thing.material_slots if slot.material]
    for slot in slots:
        first = bpy.data.materials.get(re.sub(r"\.\d{3}$", "", slot.material.name))
        if first is not None and pictures_of(first) == pictures_of(slot.material):
            slot.material = first


def pictures_of(material: bpy.types.Material) -> set[bytes]:
    """The bytes of all pictures of a material."""
    images = [node.image for node in material.node_tree.nodes if node.type == "TEX_IMAGE" and node.image]
    return {bytes(image.packed_file.data) for image in images if image.packed_file}


def levels_of(asset: dict[str, Any]) -> list[str]:
    """Names of the files of the levels, finest first."""
    by_level = {entry["level"]: name for name, entry in asset["files"].items() if entry.get("role") == "level"}
    if not by_level:  # asset.json of versions that named no roles
        ends = {f"{asset['slug']}_LOD{level}.glb": level for level in range(1, 10)} | {f"{asset['slug']}.glb": 0}
        by_level = {ends[name]: name for name in asset["files"] if name in ends}
    return [by_level[level] for level in sorted(by_level)]


def import_file(path: Path) -> list[bpy.types.Object]:
    """The meshes of a GLB, in no collection yet."""
    before, scene = set(bpy.data.objects), bpy.context.scene
    known = set(scene.keys())
    bpy.ops.import_scene.gltf(filepath=str(path))
    things = [thing for thing in bpy.data.objects if thing not in before]

    # the importer hangs what it reads of the scene on Blender's only one, where the next asset would overwrite it
    for key in set(scene.keys()) - known:
        del scene[key]
    for thing in things:
        for holder in tuple(thing.users_collection):
            holder.objects.unlink(thing)
    return things


def mark(collection: bpy.types.Collection, asset: dict[str, Any], tags: list[str], picture: Path) -> None:
    """Make an asset of the collection, with everything that the asset browser shows."""
    metadata = asset["metadata"]
    for key in TOLD:
        if key in metadata:
            value = metadata[key]
            collection[key] = str(value) if isinstance(value, int) and abs(value) >= 2**31 else value
    collection["prior"] = f"{metadata['prior']['id']} ({metadata['prior']['license']})"
    collection["dimensions_m"] = asset["dimensions_m"]

    collection.asset_mark()
    data = collection.asset_data
    data.description = metadata.get("prompt") or f"prompt with SHA-256 {metadata['prompt_sha256']}"
    data.author = metadata["copyright_holder"] or metadata["generator"]
    data.license = metadata["asset_license"]
    data.copyright = metadata["copyright_holder"]
    data.catalog_id = catalog_id(metadata["export_profile"])
    for tag in [*tags, metadata["export_profile"], "made by AI"]:
        data.tags.new(tag, skip_if_exists=True)
    if picture.exists():
        set_preview(collection, picture)


def set_preview(collection: bpy.types.Collection, picture: Path) -> None:
    """Show `picture` in the asset browser."""
    image = bpy.data.images.load(str(picture))
    image.scale(PREVIEW_PX, PREVIEW_PX)
    preview = collection.preview_ensure()
    preview.image_size = (PREVIEW_PX, PREVIEW_PX)
    preview.image_pixels_float = image.pixels[:]
    bpy.data.images.remove(image)


def show_overview(collections: list[bpy.types.Collection]) -> None:
    """Instances in rows, the smallest in front; the collections themselves stay at the origin, unseen."""
    overview = bpy.data.collections.new("Overview")
    bpy.context.scene.collection.children.link(overview)
    by_size = sorted(collections, key=lambda one: (max(one["dimensions_m"]), one.name))
    columns = max(1, math.ceil(math.sqrt(len(by_size))))

    y = 0.0
    for start in range(0, len(by_size), columns):
        row = by_size[start : start + columns]
        step = GAP * max(max(one["dimensions_m"]) for one in row)
        y += step / 2
        for number, collection in enumerate(row):
            instance = bpy.data.objects.new(collection.name, None)
            instance.instance_type, instance.instance_collection = "COLLECTION", collection
            instance.location = ((number - (len(row) - 1) / 2) * step, y, 0.0)
            overview.objects.link(instance)
        y += step / 2
    for layer in bpy.context.view_layer.layer_collection.children:
        layer.exclude = layer.collection is not overview


def catalog_id(profile: str) -> str:
    """Identity of the catalog of an export profile: the same in every file."""
    return str(uuid.uuid5(NAMESPACE, profile))


def write_catalogs(path: Path) -> None:
    """Add the catalogs in use to those that are there."""
    text = path.read_text(encoding="utf-8") if path.exists() else CATALOGS_HEAD
    for profile in sorted({one["export_profile"] for one in bpy.data.collections if one.asset_data}):
        if catalog_id(profile) not in text:
            text += f"{catalog_id(profile)}:dreamfoundry/{profile}:dreamfoundry-{profile}\n"
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    code = main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # bpy as a module may crash when the interpreter takes it down
