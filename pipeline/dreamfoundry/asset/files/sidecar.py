"""The sidecar `asset.json`: everything that is known about an asset, for programs that do not open its files.

What a file holds is read from its bytes. The sidecar alone may tell what the asset key does not
determine: which run, when, from which manifest, with which versions, how long it took.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from dreamfoundry.asset.files.glb import split_glb
from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.identity import canonical_json

MEDIA_TYPES: Mapping[str, str] = {
    "glb": "model/gltf-binary",
    "usdz": "model/vnd.usdz+zip",
    "c2pa": "application/c2pa",
    "png": "image/png",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "json": "application/json",
}
"""By the last part of the name of a file."""

SOFTWARE = ("numpy", "scipy", "scikit-image", "manifold3d", "fast-simplification", "xatlas", "pygltflib", "pillow")
"""Distributions whose version decides what an export computes."""


def described(file: str, data: bytes) -> dict[str, Any]:
    """Size, digest and media type of a file; of a GLB also what it holds."""
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "media_type": MEDIA_TYPES[file.rsplit(".", 1)[-1]],
        **(_contents(data) if file.endswith(".glb") else {}),
    }


def shape(master: bytes) -> dict[str, Any]:
    """Extent and topology of the finest level, as delivered: metres, equal positions welded."""
    delivered = read_glb(master)
    welded = trimesh.Trimesh(delivered.vertices, delivered.faces, process=True)
    low, high = (f(delivered.vertices.astype(np.float64), axis=0) for f in (np.min, np.max))
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


def _contents(glb: bytes) -> dict[str, Any]:
    """Counts and texture sizes. They stand in the JSON of the file, so it may be a compressed one."""
    document, binary = split_glb(glb)
    accessors = document["accessors"]
    primitives = [primitive for mesh in document["meshes"] for primitive in mesh["primitives"]]
    return {
        "meshes": len(document["meshes"]),
        "triangles": sum(accessors[primitive["indices"]]["count"] for primitive in primitives) // 3,
        "vertices": sum(accessors[primitive["attributes"]["POSITION"]]["count"] for primitive in primitives),
        "textures_px": {image["name"]: _size_px(document, binary, image) for image in document.get("images", ())},
    }


def _size_px(document: Mapping[str, Any], binary: bytes, image: Mapping[str, Any]) -> list[int]:
    view = document["bufferViews"][image["bufferView"]]
    start = view.get("byteOffset", 0)
    with Image.open(io.BytesIO(binary[start : start + view["byteLength"]])) as picture:
        return list(picture.size)
