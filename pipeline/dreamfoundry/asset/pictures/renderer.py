"""The default renderer: one view of a delivered mesh with all its maps, in numpy alone.

It shades with what the file holds, base colour, normal map, occlusion, roughness and metallic (or
the colours of the vertices), as glTF 2.0 chapter 3.9 and appendix B define them: Lambert and GGX under one
key light, and a sky that occlusion shuts out. A fault in a map is a fault in the picture.

Dimension key:  N vertices · P points · U 2 texture coordinates, or 0 without · H picture side in pixels
                T, V, W texels per side of the maps
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.maps.rasterize import Fragments, project, rasterize, sample_texture
from dreamfoundry.asset.maps.srgb import linear_from_srgb, srgb_from_linear
from dreamfoundry.asset.pictures.framing import FOVY_DEG, framing_pose

RENDERER = {"name": "dreamfoundry.drawing", "version": "2"}
"""Who drew the pictures of an asset, for its sidecar; the version grows when pictures change."""

SUPERSAMPLING = 2
POINTS_PER_CHUNK = 1 << 17
"""How many points are shaded together; bounds the memory to about 100 MB."""

KEY = 0.64
SKY = 0.38
GROUND = 0.22
"""Light from the key, from straight above and from straight below: a white wall never exceeds 1."""

KEY_DIRECTION = np.array([-0.45, 0.75, 0.6])
"""Direction to the key light in the frame of the camera (right, up, towards the viewer)."""

DIELECTRIC = 0.04
"""Share of the light that anything but a metal mirrors when it is looked at straight on."""

CLAY = 204
"""Grey level of everything in a textureless picture: bright, but with room for light."""

RenderMode = Literal["lit", "albedo", "textureless"]
"""Content of a picture: the asset in light, its bare base colour, or its shape in grey clay."""

_LINEAR = linear_from_srgb(np.arange(256) / 255.0).astype(np.float32)


@dataclass(frozen=True)
class Drawable:
    """A delivered mesh with its maps decoded, ready to be drawn in pictures of one size.

    Maps are None where the mesh has none, and reduced to about a texel per sample: linear colour; normals
    in [-1, 1]; occlusion.
    """

    mesh: DeliveredMesh
    base_color: Float32[np.ndarray, "T T 3"] | None
    normal_map: Float32[np.ndarray, "V V 3"] | None
    occlusion: Float32[np.ndarray, "W W 1"] | None
    size_px: int
    mode: RenderMode

    @staticmethod
    def of(mesh: DeliveredMesh, size_px: int, mode: RenderMode = "lit") -> Drawable:
        """Raises ValueError when the mesh has no normals, neither texture nor colours, or a broken texture."""
        if mesh.normals is None or (mesh.colors is None and not mesh.base_color_png):
            raise ValueError("a picture needs normals, and a texture or colours of the vertices")
        limit_px = 2 * SUPERSAMPLING * size_px
        colored, lit = mode != "textureless", mode == "lit"
        return Drawable(
            mesh,
            _reduced(_LINEAR[mesh.base_color], limit_px) if colored and mesh.base_color_png else None,
            _reduced(mesh.normal_map / np.float32(127.5) - 1.0, limit_px) if lit and mesh.normal_map_png else None,
            _reduced(mesh.occlusion / np.float32(255.0), limit_px) if lit and mesh.occlusion_png else None,
            size_px,
            mode,
        )


def draw(drawable: Drawable, azimuth_deg: float, elevation_deg: float) -> UInt8[np.ndarray, "H H 4"]:
    """The asset filling a square picture, on nothing: sRGB with straight alpha."""
    mesh, size_px = drawable.mesh, drawable.size_px
    side_px = SUPERSAMPLING * size_px
    pose = framing_pose(mesh.vertices, azimuth_deg, elevation_deg)
    seen = rasterize(project(mesh.vertices, pose, FOVY_DEG, side_px), mesh.faces, side_px, front_only=True)
    image = np.zeros((side_px * side_px, 4), np.float32)
    for start in range(0, len(seen.pixel), POINTS_PER_CHUNK):
        part = slice(start, start + POINTS_PER_CHUNK)
        fragments = Fragments(seen.pixel[part], seen.face[part], seen.weights[part])
        image[fragments.pixel, :3] = _radiance(drawable, fragments, pose)
        image[fragments.pixel, 3] = 1.0
    blocks = image.reshape(size_px, SUPERSAMPLING, size_px, SUPERSAMPLING, 4).mean(axis=(1, 3))
    opacity = blocks[..., 3:]
    straight = srgb_from_linear(blocks[..., :3] / np.maximum(opacity, 1e-9))
    return (np.concatenate((straight, opacity), axis=-1) * 255.0).round().astype(np.uint8)


def _radiance(drawable: Drawable, fragments: Fragments, pose: Float64[np.ndarray, "4 4"]) -> Float32[np.ndarray, "P 3"]:
    """Linear light from each point to the camera."""
    mesh = drawable.mesh
    uvs = _interpolated(fragments, mesh, mesh.uvs)
    color = _color(drawable, fragments, uvs)
    if drawable.mode == "albedo":
        return color
    normals = _unit(_interpolated(fragments, mesh, mesh.normals))
    if drawable.normal_map is not None:
        tangents = _interpolated(fragments, mesh, mesh.tangents)
        normals = _mapped_normals(normals, tangents, sample_texture(drawable.normal_map, uvs))
    occlusion, roughness, metallic = _orm(drawable, uvs, len(color))
    to_eye = _unit(pose[:3, 3].astype(np.float32) - _interpolated(fragments, mesh, mesh.vertices))
    to_key = (pose[:3, :3] @ (KEY_DIRECTION / np.linalg.norm(KEY_DIRECTION))).astype(np.float32)
    return _shade(color, normals, occlusion, roughness, metallic, to_key, to_eye)


def _color(drawable: Drawable, fragments: Fragments, uvs: Float32[np.ndarray, "P U"]) -> Float32[np.ndarray, "P 3"]:
    """Linear base colour: factor, texture and colours of the vertices, multiplied."""
    if drawable.mode == "textureless":
        return np.full((len(fragments.pixel), 3), _LINEAR[CLAY])
    factor = _material(drawable.mesh).get("baseColorFactor", (1.0, 1.0, 1.0, 1.0))
    color = np.tile(np.asarray(factor[:3], np.float32), (len(fragments.pixel), 1))
    if drawable.base_color is not None:
        color *= sample_texture(drawable.base_color, uvs)
    if drawable.mesh.colors is not None:
        color *= _interpolated(fragments, drawable.mesh, drawable.mesh.colors)
    return color


def _orm(
    drawable: Drawable, uvs: Float32[np.ndarray, "P U"], num_points: int
) -> tuple[Float32[np.ndarray, "P 1"], Float32[np.ndarray, "P 1"], Float32[np.ndarray, "P 1"]]:
    """Occlusion (1 is open) from its texture, roughness and metallic from the factors of the material."""
    if drawable.mode == "textureless":
        factors = (1.0, 1.0, 0.0)
    else:
        material = _material(drawable.mesh)
        factors = (1.0, material.get("roughnessFactor", 1.0), material.get("metallicFactor", 1.0))
    orm = np.tile(np.asarray(factors, np.float32), (num_points, 1))
    if drawable.occlusion is not None:
        orm[:, :1] *= sample_texture(drawable.occlusion, uvs)
    return orm[:, :1], orm[:, 1:2], orm[:, 2:]


def _mapped_normals(
    normals: Float32[np.ndarray, "P 3"], tangents: Float32[np.ndarray, "P 4"], mapped: Float32[np.ndarray, "P 3"]
) -> Float32[np.ndarray, "P 3"]:
    """Normals out of the tangent space; the bitangent is cross(normal, tangent) * w (glTF 2.0, 3.7.2.1)."""
    along = tangents[:, :3]
    bitangents = _cross(normals, along) * np.sign(tangents[:, 3:])
    return _unit(mapped[:, :1] * along + mapped[:, 1:2] * bitangents + mapped[:, 2:] * normals)


def _shade(
    color: Float32[np.ndarray, "P 3"],
    normals: Float32[np.ndarray, "P 3"],
    occlusion: Float32[np.ndarray, "P 1"],
    roughness: Float32[np.ndarray, "P 1"],
    metallic: Float32[np.ndarray, "P 1"],
    to_key: Float32[np.ndarray, " 3"],
    to_eye: Float32[np.ndarray, "P 3"],
) -> Float32[np.ndarray, "P 3"]:
    """Lambert and GGX under the key light, and the sky, which has no highlights (glTF 2.0, appendix B)."""
    key_cosine = np.maximum(normals @ to_key, 0.0)[:, None]
    eye_cosine = np.maximum(_dot(normals, to_eye), 1e-4)
    half = _unit(to_key + to_eye)
    half_cosine = np.maximum(_dot(normals, half), 0.0)
    squared = np.square(np.square(np.maximum(roughness, 0.05)))
    spread = squared / (half_cosine**2 * (squared - 1.0) + 1.0) ** 2
    shadowing = 0.5 / (
        key_cosine * np.sqrt(eye_cosine**2 * (1.0 - squared) + squared)
        + eye_cosine * np.sqrt(key_cosine**2 * (1.0 - squared) + squared)
        + 1e-6
    )
    mirrored = DIELECTRIC + (color - DIELECTRIC) * metallic
    fresnel = mirrored + (1.0 - mirrored) * _fifth_power(1.0 - np.maximum(_dot(to_eye, half), 0.0))
    matte = color * (1.0 - metallic)
    sky = GROUND + (SKY - GROUND) * (0.5 + 0.5 * normals[:, 1:2])
    from_key = KEY * key_cosine * (matte * (1.0 - fresnel) + fresnel * spread * shadowing)
    light: np.ndarray = from_key + sky * occlusion * color
    return light.astype(np.float32)


def _material(mesh: DeliveredMesh) -> Mapping[str, Any]:
    """The metallic-roughness part of the only material, empty where there is none."""
    materials = mesh.document.get("materials") or [{}]
    part: Mapping[str, Any] = materials[0].get("pbrMetallicRoughness", {})
    return part


def _interpolated(
    fragments: Fragments, mesh: DeliveredMesh, per_vertex: Float32[np.ndarray, "N C"] | None
) -> Float32[np.ndarray, "P C"]:
    """Values at points from values at vertices; of an attribute that the mesh lacks, no columns."""
    if per_vertex is None:
        return np.zeros((len(fragments.pixel), 0), np.float32)
    return fragments.interpolate(per_vertex, mesh.faces).astype(np.float32)


def _reduced(picture: Float32[np.ndarray, "H W C"], limit_px: int) -> Float32[np.ndarray, "h w C"]:
    """The first level of the mip chain (halves by 2 x 2 means) below `limit_px` texels a side."""
    while min(picture.shape[:2]) >= max(limit_px, 2):
        height, width, channels = picture.shape
        picture = picture.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))
    return picture


def _unit(vectors: Float32[np.ndarray, "P 3"]) -> Float32[np.ndarray, "P 3"]:
    unit: np.ndarray = vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), 1e-12)
    return unit


def _dot(one: Float32[np.ndarray, "P 3"], other: Float32[np.ndarray, "P 3"]) -> Float32[np.ndarray, "P 1"]:
    product: np.ndarray = np.einsum("pc,pc->p", one, other)[:, None]
    return product


def _cross(one: Float32[np.ndarray, "P 3"], other: Float32[np.ndarray, "P 3"]) -> Float32[np.ndarray, "P 3"]:
    """np.cross, several times as fast on many short vectors."""
    (a, b, c), (d, e, f) = one.T, other.T
    return np.stack((b * f - c * e, c * d - a * f, a * e - b * d), axis=1)


def _fifth_power(values: Float32[np.ndarray, "P 1"]) -> Float32[np.ndarray, "P 1"]:
    power: np.ndarray = np.square(np.square(values)) * values
    return power
