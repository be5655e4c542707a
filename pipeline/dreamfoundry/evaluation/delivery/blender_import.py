"""Import GLB files in Blender and print dimensions, triangles and pictures, for `readers.py`.

Run by an interpreter that has the module `bpy` (or by `blender --background --python`), never by
ours: Blender is under the GPL and stays outside of this project. Usage: blender_import.py FILE...
Answer: the last line of standard output, {"<file>": {"dimensions_m", "triangles", "materials", "images"}, ...},
or {"<file>": {"failed": "<why>"}}.
"""

import json
import os
import sys

import bpy


def import_file(file: str) -> dict[str, object]:
    """Dimensions in glTF's axes, triangles, materials and pictures of one file, or why it failed."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    try:
        bpy.ops.import_scene.gltf(filepath=file)
    except RuntimeError as error:
        return {"failed": str(error).strip()}

    meshes = [thing for thing in bpy.context.scene.objects if thing.type == "MESH"]
    corners = [thing.matrix_world @ vertex.co for thing in meshes for vertex in thing.data.vertices]

    # Blender's up is +Z and its front -Y: x, z, y are glTF's width, height and depth.
    spans = [max(corner[axis] for corner in corners) - min(corner[axis] for corner in corners) for axis in (0, 2, 1)]

    for thing in meshes:
        thing.data.calc_loop_triangles()

    materials = {material for thing in meshes for material in thing.data.materials if material}
    nodes = [node for material in materials for node in material.node_tree.nodes]
    images = {node.image for node in nodes if node.type == "TEX_IMAGE" and node.image}

    return {
        "dimensions_m": spans,
        "triangles": sum(len(thing.data.loop_triangles) for thing in meshes),
        "materials": sorted(material.name for material in materials),
        "images": {image.name: [*image.size, image.colorspace_settings.name] for image in images},
    }


if __name__ == "__main__":
    files = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    sys.stdout.write("\n" + json.dumps({file: import_file(file) for file in files}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # bpy 4.2 as a module may crash when the interpreter takes it down
