"""Print what a .blend file holds as JSON, run by an interpreter with the module bpy: blend_contents.py FILE"""

import json
import os
import sys

import bpy


def described(thing: bpy.types.Object) -> dict[str, object]:
    return {
        "is_hidden": thing.hide_viewport and thing.hide_render,
        "lod": thing.get("lod"),
        "location": list(thing.location),
        "custom": sorted(thing.keys()),
    }


bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
assets = {
    one.name: {
        "tags": [tag.name for tag in one.asset_data.tags],
        "description": one.asset_data.description,
        "author": one.asset_data.author,
        "license": one.asset_data.license,
        "copyright": one.asset_data.copyright,
        "catalog_id": one.asset_data.catalog_id,
        "preview": list(one.preview.image_size),
        "is_drawn": any(one.preview.image_pixels),
        "custom": {key: one[key] for key in tuple(one.keys()) if isinstance(one[key], str | int | float | bool)},
        "objects": {thing.name: described(thing) for thing in one.objects},
        "materials": sorted({slot.material.name for thing in one.objects for slot in thing.material_slots}),
        "hulls": sorted(thing.name for inner in one.children if inner.hide_viewport for thing in inner.objects),
    }
    for one in bpy.data.collections
    if one.asset_data
}
contents = {
    "assets": assets,
    "scene": sorted(bpy.context.scene.keys()),
    "instances": sorted(thing.name for thing in bpy.data.objects if thing.instance_collection),
    "unpacked": sorted(image.name for image in bpy.data.images if image.type == "IMAGE" and not image.packed_file),
}
sys.stdout.write("\n" + json.dumps(contents) + "\n")
sys.stdout.flush()
os._exit(0)  # bpy as a module may crash when the interpreter takes it down
