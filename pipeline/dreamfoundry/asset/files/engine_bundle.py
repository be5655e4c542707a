"""Stage 6, engine bundles: the finest level and its collision hulls in one GLB, in the form that an engine wants.

A hull in the scene of the master would be drawn by every viewer, so bundles are files of their own.
Nothing is encoded anew: the binary chunks of two delivered files are put one behind the other.

Unreal knows a hull by the prefix of its node. Godot, from 4.3 on, reads the extensions OMI_physics_body and
OMI_physics_shape: one body that holds the level and has every hull as a shape, so that a prop moves as one thing. Its
older way, a suffix of the node, makes a body of each hull, and is left out: a file with both would have them twice.
"""

from __future__ import annotations

import copy
from typing import Any

from dreamfoundry.asset.files.deliverable import Deliverable, Made
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb import join_glb
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.identity import canonical_json

BODY, SHAPE = "OMI_physics_body", "OMI_physics_shape"


def engine_bundles(master: Glb, collision: Glb, *, slug: str) -> dict[str, bytes]:
    """`<slug>_unreal.glb` and `<slug>_godot.glb` from the GLBs of the finest level and of its hulls."""
    return {f"{slug}_unreal.glb": _unreal(master, collision), f"{slug}_godot.glb": _godot(master, collision, slug)}


def _unreal(master: Glb, collision: Glb) -> bytes:
    """All nodes of both beside one another; hulls are called UCX_… already."""
    document, binary = _joined(master, collision)
    first_mesh = len(master.document["meshes"])
    for number, node in enumerate(collision.document["nodes"]):
        document["scenes"][0]["nodes"].append(len(document["nodes"]))
        document["nodes"].append({**node, "mesh": first_mesh + number})
    return join_glb(canonical_json(document), binary)


def _godot(master: Glb, collision: Glb, slug: str) -> bytes:
    """A body that does not move, with the level and a collider for each hull as its children.

    The meshes of hulls belong to shapes and to no node: other readers see the level alone.
    """
    document, binary = _joined(master, collision)
    first_mesh, level, note = (
        len(master.document["meshes"]),
        master.node_names[0],
        master.document["nodes"][0]["extras"],
    )
    names = [f"{level}_hull_{number:02d}" for number in range(len(collision.document["nodes"]))]
    for number, name in enumerate(names):
        document["meshes"][first_mesh + number]["name"] = name
        document["nodes"].append({"name": name, "extras": note, "extensions": {BODY: {"collider": {"shape": number}}}})

    children = list(range(len(document["nodes"])))
    body = {BODY: {"motion": {"type": "static"}}}
    document["nodes"].append({"name": slug, "extras": note, "extensions": body, "children": children})
    document["scenes"][0]["nodes"] = [len(children)]

    shapes = [{"type": "convex", "convex": {"mesh": first_mesh + number}} for number in range(len(names))]
    document.setdefault("extensions", {})[SHAPE] = {"shapes": shapes}
    document["extensionsUsed"] = sorted({*document.get("extensionsUsed", ()), BODY, SHAPE})
    return join_glb(canonical_json(document), binary)


def _joined(master: Glb, collision: Glb) -> tuple[dict[str, Any], bytes]:
    """`master` with the meshes of `collision` behind its own, which no node uses yet."""
    # copies: parsed documents are shared, and numbers change below
    document, hulls = copy.deepcopy(dict(master.document)), copy.deepcopy(dict(collision.document))
    binary = master.binary + collision.binary

    # what the hulls refer to by number comes after what the master has of its kind
    first = {kind: len(document[kind]) for kind in ("bufferViews", "accessors", "meshes")}
    for view in hulls["bufferViews"]:
        view["byteOffset"] = view.get("byteOffset", 0) + len(master.binary)
    for accessor in hulls["accessors"]:
        accessor["bufferView"] += first["bufferViews"]
    for mesh in hulls["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["indices"] += first["accessors"]
            primitive["attributes"] = {kind: at + first["accessors"] for kind, at in primitive["attributes"].items()}

    for kind in first:
        document[kind] += hulls[kind]
    document["buffers"][0]["byteLength"] = len(binary)
    return document, binary


def _engine_bundles(draft: AssetDraft) -> Made:
    if draft.hulls is None:
        raise ValueError("engine bundles need collision hulls; ExportProfile refuses one without the other")
    return engine_bundles(draft.master, draft.hulls, slug=draft.slug), []


ENGINE_BUNDLES = Deliverable(
    gate="",
    tool="",
    stage="gltf",
    moment="before_gates",
    unwanted=lambda profile: "" if profile.engine_bundles else "the profile orders no engine bundles",
    make=_engine_bundles,
)
