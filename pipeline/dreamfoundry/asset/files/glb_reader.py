"""Read back a delivered GLB, without the library that wrote it.

Pictures, gates and derived files start from the delivered bytes, so they share this reader of the GLB
container (glTF 2.0 chapter 4) and of the meshes in it. It refuses what it does not know.

Dimension key:  N vertices · F faces · H, W sides of a picture · C channels
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8, UInt32
from PIL import Image

from dreamfoundry.asset.files.glb import split_glb

COMPONENTS: Mapping[int, str] = {5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS: Mapping[str, int] = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
FLOAT = 5126

ATTRIBUTES: Mapping[str, str] = {
    "POSITION": "VEC3",
    "NORMAL": "VEC3",
    "TANGENT": "VEC4",
    "TEXCOORD_0": "VEC2",
    "TEXCOORD_1": "VEC2",
    "COLOR_0": "VEC3",
}
"""Vertex attributes of a delivered mesh, all as 32-bit floats."""

TRIANGLES = 4


@dataclass(frozen=True)
class DeliveredMesh:
    """The mesh of a GLB as a consumer reads it.

    `tangents` have the sign of the bitangent as their w; `colors` are linear light; `lightmap_uvs` are a second set of
    coordinates, packed for a lightmap of `lightmap_px`. The PNGs are as in
    the file, empty where there is none: a level has base colour and perhaps normals and occlusion, or colours
    at its vertices; a collision hull has nothing. Each is decoded once.
    """

    vertices: Float32[np.ndarray, "N 3"]
    faces: UInt32[np.ndarray, "F 3"]
    normals: Float32[np.ndarray, "N 3"] | None
    tangents: Float32[np.ndarray, "N 4"] | None
    uvs: Float32[np.ndarray, "N 2"] | None
    colors: Float32[np.ndarray, "N 3"] | None
    base_color_png: bytes
    normal_map_png: bytes
    occlusion_png: bytes
    document: Mapping[str, Any]
    lightmap_uvs: Float32[np.ndarray, "N 2"] | None = None
    lightmap_px: int = 0

    @cached_property
    def base_color(self) -> UInt8[np.ndarray, "H W 3"]:
        """The sRGB texture, fully decoded. Raises ValueError when it is broken or absent."""
        return _picture(self.base_color_png, "base colour")

    @cached_property
    def normal_map(self) -> UInt8[np.ndarray, "H W 3"]:
        """Normals in tangent space, green up, fully decoded. Raises ValueError when broken or absent."""
        return _picture(self.normal_map_png, "normal")

    @cached_property
    def occlusion(self) -> UInt8[np.ndarray, "H W 1"]:
        """255 where the sky is open, fully decoded. Raises ValueError when broken or absent."""
        return _picture(self.occlusion_png, "occlusion", "L")


def _picture(data: bytes, name: str, mode: Literal["RGB", "L"] = "RGB") -> UInt8[np.ndarray, "H W C"]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode != mode:
                raise ValueError(f"{name} texture of mode {image.mode}: delivered ones are {mode} of 8 bits")
            return np.atleast_3d(np.asarray(image))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} texture: {error}") from error


@dataclass(frozen=True, eq=False)
class Glb:
    """A delivered GLB by name. Its chunks and its mesh are parsed once, when first used.

    Every attribute but `name` and `data` raises ValueError where the bytes are no such file.
    """

    name: str
    data: bytes = field(repr=False)

    @cached_property
    def _chunks(self) -> tuple[dict[str, Any], bytes]:
        return split_glb(self.data)

    @property
    def document(self) -> Mapping[str, Any]:
        """The JSON document; shared, so never to be changed."""
        return self._chunks[0]

    @property
    def binary(self) -> bytes:
        """The binary chunk."""
        return self._chunks[1]

    @cached_property
    def mesh(self) -> DeliveredMesh:
        """The mesh of the only node."""
        return _mesh(*self._chunks, "")

    def mesh_of(self, node: str) -> DeliveredMesh:
        """The mesh of the node called `node`."""
        return _mesh(*self._chunks, node)

    @property
    def node_names(self) -> list[str]:
        """The nodes by name, in their order."""
        try:
            return [str(node["name"]) for node in self.document["nodes"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a GLB of named nodes: {type(error).__name__}: {error}") from error

    def image(self, index: int) -> bytes:
        """The encoded image of this number."""
        return _image_bytes(self.document, self.binary, index)

    def texture_image(self, texture: int) -> bytes:
        """The encoded image behind a texture."""
        return self.image(self.document["textures"][texture]["source"])


def read_glb(data: bytes, name: str = "") -> DeliveredMesh:
    """The mesh of the node called `name`; without a name, of the only node. ValueError for anything else."""
    return _mesh(*split_glb(data), name)


def _mesh(document: Mapping[str, Any], binary: bytes, name: str) -> DeliveredMesh:
    try:
        (node,) = (node for node in document["nodes"] if name in ("", node["name"]))
        if {"matrix", "translation", "rotation", "scale"} & node.keys():
            raise ValueError(f"node {node.get('name')!r} has a transform; delivered nodes have none")
        (primitive,) = document["meshes"][node["mesh"]]["primitives"]
        if primitive.get("mode", TRIANGLES) != TRIANGLES:
            raise ValueError(f"primitive mode {primitive['mode']}: must be {TRIANGLES}, triangles")

        arrays = _attributes(document, binary, primitive["attributes"])
        maps = _maps(document, binary, primitive)
        return DeliveredMesh(
            vertices=arrays["POSITION"],
            faces=_accessor(document, binary, primitive["indices"]).astype(np.uint32).reshape(-1, 3),
            normals=arrays.get("NORMAL"),
            tangents=arrays.get("TANGENT"),
            uvs=arrays.get("TEXCOORD_0"),
            lightmap_uvs=arrays.get("TEXCOORD_1"),
            lightmap_px=int(node.get("extras", {}).get("lightmap_px", 0)),
            colors=arrays.get("COLOR_0"),
            base_color_png=maps.get("baseColorTexture", b""),
            normal_map_png=maps.get("normalTexture", b""),
            occlusion_png=maps.get("occlusionTexture", b""),
            document=document,
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a GLB of one mesh: {type(error).__name__}: {error}") from error


def _attributes(document: Mapping[str, Any], binary: bytes, indices: Mapping[str, int]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, index in indices.items():
        accessor = document["accessors"][index]
        if (accessor["type"], accessor["componentType"]) != (ATTRIBUTES.get(name), FLOAT):
            raise ValueError(
                f"attribute {name} of {accessor['type']}, component type {accessor['componentType']}: "
                f"a delivered mesh has {', '.join(ATTRIBUTES)} as floats"
            )
        arrays[name] = _accessor(document, binary, index)
    if len({len(array) for array in arrays.values()}) > 1:
        raise ValueError(f"{', '.join(arrays)}: lengths differ, {[len(array) for array in arrays.values()]}")
    return arrays


def _accessor(document: Mapping[str, Any], binary: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    width, component = WIDTHS[accessor["type"]], COMPONENTS[accessor["componentType"]]
    view = document["bufferViews"][accessor["bufferView"]]
    if "sparse" in accessor or view.get("byteStride", 0) not in (0, width * np.dtype(component).itemsize):
        raise ValueError(f"accessor {index} is sparse or interleaved; delivered ones are neither")
    offset = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    count = accessor["count"] * width
    values = np.frombuffer(binary, component, count, offset)
    return values.reshape(-1, width) if width > 1 else values


def _maps(document: Mapping[str, Any], binary: bytes, primitive: Mapping[str, Any]) -> dict[str, bytes]:
    """The pictures of the material by slot: "baseColorTexture", "normalTexture", "occlusionTexture"."""
    if "material" not in primitive:
        return {}
    material = document["materials"][primitive["material"]]
    factors = material["pbrMetallicRoughness"]
    slots = {
        name: info
        for name, info in (*factors.items(), *material.items())
        if name.endswith("Texture")  # a factor or a flag is no picture
    }
    unknown = slots.keys() - {"baseColorTexture", "normalTexture", "occlusionTexture"}
    if unknown:
        raise ValueError(f"material with {', '.join(sorted(unknown))}: no delivered one has it")
    for name, info in slots.items():
        if info.get("texCoord", 0) != 0 or info.get("scale", 1.0) != 1.0 or info.get("strength", 1.0) != 1.0:
            raise ValueError(f"{name} {dict(info)}: delivered ones use TEXCOORD_0 at full strength")
    return {name: _image(document, binary, info["index"]) for name, info in slots.items()}


def _image(document: Mapping[str, Any], binary: bytes, texture: int) -> bytes:
    return _image_bytes(document, binary, document["textures"][texture]["source"])


def _image_bytes(document: Mapping[str, Any], binary: bytes, index: int) -> bytes:
    view = document["bufferViews"][document["images"][index]["bufferView"]]
    start = view.get("byteOffset", 0)
    return binary[start : start + view["byteLength"]]
