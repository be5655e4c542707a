"""Stage 6, engine bundles: the finest level and its collision hulls in one GLB, under the names an engine wants.

A hull in the scene of the master would be drawn by every viewer, so bundles are files of their own.
Nothing is encoded anew: the binary chunks of two delivered files are put one behind the other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial

from dreamfoundry.asset.files.deliverable import Deliverable, Made
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb import join_glb
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.identity import canonical_json

HULL_NAMES: Mapping[str, Callable[[str, int], str]] = {
    "unreal": lambda level, number: f"UCX_{level}_{number:02d}",
    "godot": lambda level, number: f"{level}_{number:02d}-convcolonly",
}
"""Name of a hull by engine: a prefix before the name of its level, or a suffix after it."""


def engine_bundles(master: Glb, collision: Glb, *, slug: str) -> dict[str, bytes]:
    """`<slug>_unreal.glb` and `<slug>_godot.glb` from the GLBs of the finest level and of its hulls."""
    return {
        f"{slug}_{engine}.glb": _bundle(master, collision, partial(hull_name, f"{slug}_LOD0"))
        for engine, hull_name in HULL_NAMES.items()
    }


def _bundle(master: Glb, collision: Glb, name: Callable[[int], str]) -> bytes:
    """`master` with the meshes of `collision`, the nodes called `name(0)` and so on."""
    # copies: parsed documents are shared, and numbers change below
    document, hulls = copy.deepcopy(dict(master.document)), copy.deepcopy(dict(collision.document))
    binary, hull_binary = master.binary, collision.binary

    # what the hulls refer to by number comes after what the master has of its kind
    first = {kind: len(document[kind]) for kind in ("bufferViews", "accessors", "meshes", "nodes")}
    for view in hulls["bufferViews"]:
        view["byteOffset"] = view.get("byteOffset", 0) + len(binary)
    for accessor in hulls["accessors"]:
        accessor["bufferView"] += first["bufferViews"]
    for mesh in hulls["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["indices"] += first["accessors"]
            primitive["attributes"] = {kind: at + first["accessors"] for kind, at in primitive["attributes"].items()}

    for number, node in enumerate(hulls["nodes"]):
        node["mesh"] += first["meshes"]
        node["name"] = hulls["meshes"][number]["name"] = name(number)

    for kind in first:
        document[kind] += hulls[kind]
    document["scenes"][0]["nodes"] += [first["nodes"] + number for number in range(len(hulls["nodes"]))]
    document["buffers"][0]["byteLength"] = len(binary) + len(hull_binary)
    return join_glb(canonical_json(document), binary + hull_binary)


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
