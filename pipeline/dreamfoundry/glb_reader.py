"""Reading back a delivered GLB, without the library that wrote it.

Pictures and gates look at what was delivered, so they share this reader of the GLB container
(glTF 2.0 chapter 4) and of the meshes in it. It refuses what it does not know.

Dimension key:  N vertices · F faces
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8, UInt32
from PIL import Image

from dreamfoundry import glb_container

COMPONENTS: Mapping[int, str] = {5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS: Mapping[str, int] = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}


@dataclass(frozen=True)
class DeliveredMesh:
    """The mesh of a GLB as a consumer sees it; `base_color_png` is empty for a collision hull."""

    vertices: Float32[np.ndarray, "N 3"]
    faces: UInt32[np.ndarray, "F 3"]
    normals: Float32[np.ndarray, "N 3"] | None
    uvs: Float32[np.ndarray, "N 2"] | None
    base_color_png: bytes
    document: Mapping[str, Any]

    def base_color(self) -> UInt8[np.ndarray, "H W 3"]:
        """The texture, fully decoded. Raises ValueError when it is broken."""
        try:
            with Image.open(io.BytesIO(self.base_color_png)) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"base colour texture: {error}") from error


def node_names(data: bytes) -> list[str]:
    """The nodes of a GLB by name, in their order. Raises ValueError where there is no such thing."""
    try:
        return [str(node["name"]) for node in glb_container.split(data)[0]["nodes"]]
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError(f"not a GLB of named nodes: {type(error).__name__}: {error}") from error


def read_glb(data: bytes, name: str = "") -> DeliveredMesh:
    """The mesh of the node called `name`; without a name, of the only node. ValueError for anything else."""
    try:
        document, binary = glb_container.split(data)
        (node,) = (node for node in document["nodes"] if name in ("", node["name"]))
        if {"matrix", "translation", "rotation", "scale"} & node.keys():
            raise ValueError(f"node {node.get('name')!r} has a transform; delivered nodes have none")
        (primitive,) = document["meshes"][node["mesh"]]["primitives"]
        attributes = primitive["attributes"]
        return DeliveredMesh(
            vertices=_accessor(document, binary, attributes["POSITION"]),
            faces=_accessor(document, binary, primitive["indices"]).astype(np.uint32).reshape(-1, 3),
            normals=_accessor(document, binary, attributes["NORMAL"]) if "NORMAL" in attributes else None,
            uvs=_accessor(document, binary, attributes["TEXCOORD_0"]) if "TEXCOORD_0" in attributes else None,
            base_color_png=_base_color(document, binary, primitive),
            document=document,
        )
    except (KeyError, IndexError, TypeError, struct.error) as error:
        raise ValueError(f"not a GLB of one mesh: {type(error).__name__}: {error}") from error


def _accessor(document: Mapping[str, Any], binary: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    width = WIDTHS[accessor["type"]]
    view = document["bufferViews"][accessor["bufferView"]]
    offset = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    count = accessor["count"] * width
    values = np.frombuffer(binary, COMPONENTS[accessor["componentType"]], count, offset)
    return values.reshape(-1, width) if width > 1 else values


def _base_color(document: Mapping[str, Any], binary: bytes, primitive: Mapping[str, Any]) -> bytes:
    if "material" not in primitive:
        return b""
    material = document["materials"][primitive["material"]]
    texture = document["textures"][material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]
    view = document["bufferViews"][document["images"][texture["source"]]["bufferView"]]
    start = view.get("byteOffset", 0)
    return binary[start : start + view["byteLength"]]
