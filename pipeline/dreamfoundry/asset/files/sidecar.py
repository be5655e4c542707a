"""The sidecar `asset.json`: everything that is known about an asset, for programs that do not open its files.

What a file holds is read from its bytes. The sidecar alone may tell what the asset key does not
determine: which run, when, from which manifest, with which versions, how long it took.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import DeliveredMesh, Glb
from dreamfoundry.file_roles import role_of
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import Finding

ASSET_SCHEMA = "dreamfoundry.asset.v1"
VALIDATION_SCHEMA = "dreamfoundry.validation.v1"

MEDIA_TYPES: Mapping[str, str] = {
    "glb": "model/gltf-binary",
    "png": "image/png",
    "webp": "image/webp",
    "json": "application/json",
}
"""Of the files of every asset, by the last part of their names; others come with their deliverable."""

SOFTWARE = ("numpy", "scipy", "scikit-image", "manifold3d", "fast-simplification", "xatlas", "pygltflib", "pillow")
"""Distributions whose version decides what an export computes."""


def validation_file(findings: Sequence[Finding], gates: Mapping[str, str], khronos_reports: Mapping[str, Any]) -> bytes:
    """`validation.json`: the status of every gate, every finding, and the raw reports of the Khronos validator."""
    return json_file(
        {
            "schema": VALIDATION_SCHEMA,
            "gates": gates,
            "findings": [vars(finding) for finding in findings],
            "khronos": dict(khronos_reports),
        }
    )


def asset_file(draft: AssetDraft, media_types: Mapping[str, str], known: Mapping[str, Any]) -> bytes:
    """`asset.json`: the files of `draft` as they are, with `known` (gates, findings, timings, renderer)."""
    glbs = draft.glbs
    files = {
        name: {
            **file_entry(name, data, media_types),
            **_purpose(name, draft),
            **(glb_contents(glbs[name]) if name in glbs else {}),
        }
        for name, data in draft.files.items()
    }

    return json_file(
        {
            "schema": ASSET_SCHEMA,
            "slug": draft.slug,
            "metadata": dict(draft.metadata),
            **mesh_shape(draft.master.mesh),
            "pivot": draft.profile.pivot,
            "files": files,
            "scores": dict(draft.scores),
            "software": software(),
            **known,
        }
    )


def file_entry(name: str, data: bytes, media_types: Mapping[str, str] = MEDIA_TYPES) -> dict[str, Any]:
    """Size, digest and media type of a file."""
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "media_type": media_types[name.rsplit(".", 1)[-1]],
    }


def _purpose(name: str, draft: AssetDraft) -> dict[str, Any]:
    """The role of a file (`file_roles`); of a level its number too, and the size on the screen that it is made for."""
    role = role_of(name, draft.slug)
    if role.level is None:
        return {"role": role.name}
    return {"role": role.name, "level": role.level, **draft.screen_sizes.get(role.level, {})}


def mesh_shape(mesh: DeliveredMesh) -> dict[str, Any]:
    """Extent and topology of the finest level, as delivered: metres, equal positions welded."""
    welded = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)
    low, high = (f(mesh.vertices.astype(np.float64), axis=0) for f in (np.min, np.max))
    num_bodies = int(welded.body_count)
    return {
        "dimensions_m": (high - low).tolist(),
        "bounds_m": [low.tolist(), high.tolist()],
        "watertight": bool(welded.is_watertight),
        "num_components": num_bodies,
        "genus": num_bodies - int(welded.euler_number) // 2,
    }


def software() -> dict[str, str]:
    """Versions of what computes an export."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in SOFTWARE}}


def with_provenance(sidecar: bytes, provenance: Mapping[str, Any]) -> bytes:
    """`sidecar` with what only the run knows."""
    return json_file({**json.loads(sidecar), "provenance": dict(provenance)})


def json_file(value: Mapping[str, Any]) -> bytes:
    """Readable JSON with sorted keys; the values are those of canonical JSON."""
    return json.dumps(json.loads(canonical_json(value)), indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def glb_contents(glb: Glb) -> dict[str, Any]:
    """Counts and texture sizes of a GLB, from its JSON alone, so that it may be a compressed one."""
    document = glb.document
    accessors = document["accessors"]
    primitives = [primitive for mesh in document["meshes"] for primitive in mesh["primitives"]]
    images = document.get("images", ())
    lightmap_px = document["nodes"][0].get("extras", {}).get("lightmap_px", 0)
    return {
        **({"lightmap_px": lightmap_px} if lightmap_px else {}),
        "meshes": len(document["meshes"]),
        "triangles": sum(accessors[primitive["indices"]]["count"] for primitive in primitives) // 3,
        "uv_sets": max(sum(key.startswith("TEXCOORD_") for key in primitive["attributes"]) for primitive in primitives),
        "vertices": sum(accessors[primitive["attributes"]["POSITION"]]["count"] for primitive in primitives),
        "textures_px": {image["name"]: _size_px(glb.image(number)) for number, image in enumerate(images)},
    }


def _size_px(image: bytes) -> list[int]:
    with Image.open(io.BytesIO(image)) as picture:
        return list(picture.size)
