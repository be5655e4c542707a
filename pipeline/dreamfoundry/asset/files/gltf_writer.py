"""Stage 6, the GLB: bytes of one level, written by hand with pygltflib (glTF 2.0, metres, +Y up).

The bytes hold nothing that the asset key does not determine: no time, no run, no path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pygltflib

from dreamfoundry.asset import names
from dreamfoundry.asset.files.glb import join_glb
from dreamfoundry.asset.files.metadata import credits, short_form
from dreamfoundry.asset.files.png import encode_png
from dreamfoundry.identity import EXPORT_VERSION, GENERATOR, canonical_json
from dreamfoundry.records import ColoredMesh, Surface, TexturedMesh

EXTRAS_KEY = "dreamfoundry"
LIGHTMAP_KEY = "lightmap_px"
"""In the extras of a node with TEXCOORD_1: the side of the lightmap that it is packed for."""

METALLIC = 0.0
ROUGHNESS = 0.9


def write_glb(
    mesh: TexturedMesh | ColoredMesh,
    *,
    slug: str,
    level: int | None,
    metadata: Mapping[str, object],
    copyright_text: str,
) -> bytes:
    """One level of detail in metres, with its maps as PNG (or colours at its vertices), and a dull material.

    Node and mesh are called `<slug>_LOD<level>`, or `<slug>_dense` without a level; material and textures
    after them (`asset.names`): `M_<slug>_LOD0`, `T_<slug>_LOD0_BC` (base colour), `_N` (normals) and
    `_AO` (occlusion, one channel), where there are such maps; levels
    with the maps of another one (`maps_of`) have its names. `metadata` stands in the extras of asset and scene under
    "dreamfoundry", a short form of it in those of node and mesh. Coordinates for a lightmap are TEXCOORD_1,
    and the extras of the node tell its side as `lightmap_px`.
    """
    name = f"{slug}_dense" if level is None else names.level_name(slug, level)
    document = _document(metadata, copyright_text, slug)
    buffer = _Buffer(document)
    attributes = pygltflib.Attributes(
        POSITION=buffer.vertices(mesh.vertices, pygltflib.VEC3, with_bounds=True),
        NORMAL=buffer.vertices(mesh.normals, pygltflib.VEC3),
    )

    part = name
    if isinstance(mesh, TexturedMesh) and mesh.maps_of is not None:
        part = names.level_name(slug, mesh.maps_of)
    material = pygltflib.Material(
        name=names.material_name(part),
        pbrMetallicRoughness=pygltflib.PbrMetallicRoughness(
            baseColorFactor=[1.0, 1.0, 1.0, 1.0], metallicFactor=METALLIC, roughnessFactor=ROUGHNESS
        ),
        alphaMode="OPAQUE",
        doubleSided=False,
    )
    document.materials = [material]

    if isinstance(mesh, ColoredMesh):
        attributes.COLOR_0 = buffer.vertices(mesh.colors, pygltflib.VEC3)
        indices = buffer.indices(mesh.faces)
    else:
        attributes.TEXCOORD_0 = buffer.vertices(mesh.uvs, pygltflib.VEC2)
        if mesh.lightmap_uvs is not None:
            attributes.TEXCOORD_1 = buffer.vertices(mesh.lightmap_uvs, pygltflib.VEC2)
        if mesh.detail is not None and mesh.detail.tangents is not None:
            attributes.TANGENT = buffer.vertices(mesh.detail.tangents, pygltflib.VEC4)
        indices = buffer.indices(mesh.faces)
        _add_textures(buffer, material, mesh, part)
    _add_node(document, name, attributes, indices, material=0, note=short_form(metadata, slug))
    if isinstance(mesh, TexturedMesh) and mesh.lightmap_uvs is not None:
        document.nodes[0].extras[LIGHTMAP_KEY] = mesh.lightmap_px
    return _written(document, buffer)


def write_collision_glb(
    hulls: Sequence[Surface], *, slug: str, metadata: Mapping[str, object], copyright_text: str
) -> bytes:
    """The collision hulls in metres: nodes and meshes `UCX_<slug>_LOD0_00` and so on, no material."""
    document = _document(metadata, copyright_text, slug)
    buffer = _Buffer(document)
    for number, hull in enumerate(hulls):
        attributes = pygltflib.Attributes(POSITION=buffer.vertices(hull.vertices, pygltflib.VEC3, with_bounds=True))
        indices, name = buffer.indices(hull.faces), names.hull_name(slug, number)
        _add_node(document, name, attributes, indices, material=None, note=short_form(metadata, slug))
    return _written(document, buffer)


def _add_textures(buffer: _Buffer, material: pygltflib.Material, mesh: TexturedMesh, part: str) -> None:
    """The maps of `mesh` as images, each used once. Roughness and metallic are the same everywhere: factors."""
    document = buffer.document
    document.samplers = [
        pygltflib.Sampler(
            magFilter=pygltflib.LINEAR,
            minFilter=pygltflib.LINEAR_MIPMAP_LINEAR,
            wrapS=pygltflib.CLAMP_TO_EDGE,
            wrapT=pygltflib.CLAMP_TO_EDGE,
        )
    ]

    def texture(name: str, picture: np.ndarray) -> int:
        image = pygltflib.Image(name=name, mimeType="image/png", bufferView=buffer.view(encode_png(picture)))
        document.images.append(image)
        document.textures.append(pygltflib.Texture(name=name, sampler=0, source=len(document.images) - 1))
        return len(document.textures) - 1

    factors = material.pbrMetallicRoughness
    factors.baseColorTexture = pygltflib.TextureInfo(index=texture(names.texture_name(part, "BC"), mesh.base_color))
    if mesh.detail is not None and mesh.detail.normal_map is not None:
        normals = texture(names.texture_name(part, "N"), mesh.detail.normal_map)
        material.normalTexture = pygltflib.NormalMaterialTexture(index=normals, scale=1.0)
    if mesh.detail is not None and mesh.detail.occlusion is not None:
        occlusion = texture(names.texture_name(part, "AO"), mesh.detail.occlusion)
        material.occlusionTexture = pygltflib.OcclusionTextureInfo(index=occlusion, strength=1.0)


class _Buffer:
    """The binary chunk as it grows; every view starts at a multiple of 4 bytes."""

    def __init__(self, document: pygltflib.GLTF2) -> None:
        self.document = document
        self.data = bytearray()

    def view(self, payload: bytes, target: int | None = None) -> int:
        self.document.bufferViews.append(
            pygltflib.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(payload), target=target)
        )
        self.data += payload + b"\0" * (-len(payload) % 4)
        return len(self.document.bufferViews) - 1

    def vertices(self, values: np.ndarray, kind: str, *, with_bounds: bool = False) -> int:
        values = np.ascontiguousarray(values, dtype="<f4")
        bounds = {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()} if with_bounds else {}
        return self._accessor(
            self.view(values.tobytes(), pygltflib.ARRAY_BUFFER), pygltflib.FLOAT, len(values), kind, bounds
        )

    def indices(self, faces: np.ndarray) -> int:
        # 65535 is the primitive restart value of 16-bit indices and may not name a vertex.
        short = int(faces.max()) < 65_535
        values = np.ascontiguousarray(faces.reshape(-1), dtype="<u2" if short else "<u4")
        component = pygltflib.UNSIGNED_SHORT if short else pygltflib.UNSIGNED_INT
        view = self.view(values.tobytes(), pygltflib.ELEMENT_ARRAY_BUFFER)
        return self._accessor(view, component, len(values), pygltflib.SCALAR, {})

    def _accessor(self, view: int, component: int, count: int, kind: str, bounds: dict[str, list[float]]) -> int:
        self.document.accessors.append(
            pygltflib.Accessor(bufferView=view, byteOffset=0, componentType=component, count=count, type=kind, **bounds)
        )
        return len(self.document.accessors) - 1


def _document(metadata: Mapping[str, object], copyright_text: str, slug: str) -> pygltflib.GLTF2:
    extras = {EXTRAS_KEY: dict(metadata)}
    return pygltflib.GLTF2(
        asset=pygltflib.Asset(
            version="2.0",
            generator=f"{GENERATOR} export {EXPORT_VERSION}",
            copyright=copyright_text,
            extras={**extras, **credits(metadata, slug)},
        ),
        scene=0,
        scenes=[pygltflib.Scene(name=names.SCENE, nodes=[], extras=extras)],
    )


def _add_node(
    document: pygltflib.GLTF2,
    name: str,
    attributes: pygltflib.Attributes,
    indices: int,
    *,
    material: int | None,
    note: Mapping[str, object],
) -> None:
    """A node with a mesh of one primitive, both with `note` in their extras."""
    extras = {EXTRAS_KEY: dict(note)}
    primitive = pygltflib.Primitive(attributes=attributes, indices=indices, material=material, mode=pygltflib.TRIANGLES)
    document.scenes[0].nodes.append(len(document.nodes))
    document.nodes.append(pygltflib.Node(name=name, mesh=len(document.meshes), extras=extras))
    document.meshes.append(pygltflib.Mesh(name=name, primitives=[primitive], extras=extras))


def _written(document: pygltflib.GLTF2, buffer: _Buffer) -> bytes:
    document.buffers = [pygltflib.Buffer(byteLength=len(buffer.data))]
    content: dict[str, Any] = json.loads(document.to_json())

    # pygltflib leaves out what is empty, in metadata too; an empty negative prompt is a statement.
    for kind in ("scenes", "nodes", "meshes"):
        for item, described in zip(content[kind], getattr(document, kind), strict=True):
            item["extras"] = described.extras
    content["asset"]["extras"] = document.asset.extras
    return join_glb(canonical_json(content), bytes(buffer.data))
