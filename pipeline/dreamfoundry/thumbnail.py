"""Stage 6, pictures of the delivered file: a thumbnail, a turntable and views to judge, without GPU or display.

They are drawn from the GLB as it was written, so what is wrong with the file is wrong in the
picture. Azimuth 0 stands on +Z, where the front is, and grows towards +X.

Dimension key:  V views · H picture side in pixels · P points
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, UInt8
from PIL import Image

from dreamfoundry.glb_reader import DeliveredMesh, read_glb
from dreamfoundry.raster import Fragments, project, rasterize, sample_texture

THUMBNAIL_AZIMUTH_DEG = 30.0
ELEVATION_DEG = 20.0
FOVY_DEG = 30.0
SUPERSAMPLING = 2
AMBIENT = 0.42
"""Share of the light that comes from everywhere; the key light gives the rest."""

KEY_LIGHT = np.array([-0.45, 0.75, 0.6])
"""Direction to the key light in the frame of the camera (right, up, towards the viewer)."""

FRAME_MS = 90

JUDGED_ELEVATION_DEG = 30.0
"""Height of the views that are judged, as in DreamFusion 4."""

CLAY = 204
"""Grey level of everything in a textureless picture: bright, but with room for light."""


def orbit_pose(
    azimuth_deg: float, elevation_deg: float, distance: float, target: Float[np.ndarray, " 3"]
) -> Float64[np.ndarray, "4 4"]:
    """Camera-to-world of a camera on a circle around `target`, looking at it along its -Z, +Y up."""
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    backward = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    pose = np.eye(4)
    pose[:3, :3] = np.stack((right, np.cross(backward, right), backward), axis=1)
    pose[:3, 3] = target + distance * backward
    return pose


def thumbnail_png(glb: bytes, size_px: int) -> bytes:
    """The asset from the front right, slightly from above, on a transparent ground, as PNG."""
    mesh = read_glb(glb)
    picture = _picture(mesh, _texture(mesh), THUMBNAIL_AZIMUTH_DEG, size_px)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def turntable_webp(glb: bytes, num_frames: int, size_px: int) -> bytes:
    """One turn around the asset as an endless animated WebP on a transparent ground.

    The viewer walks towards +X, beginning at the front.
    """
    mesh = read_glb(glb)
    texture = _texture(mesh)
    frames = [
        Image.fromarray(_picture(mesh, texture, 360.0 * index / num_frames, size_px)) for index in range(num_frames)
    ]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MS,
        loop=0,
        quality=80,
        method=3,
        minimize_size=False,
    )
    return buffer.getvalue()


def judged_views(
    glb: bytes, look: Literal["albedo", "textureless"], num_views: int, size_px: int
) -> UInt8[np.ndarray, "V H H 3"]:
    """Views all around on white, the first from the front: what a score of text and picture looks at.

    They show the bare texture, or the shape alone in one grey under the light of the thumbnail.
    """
    mesh = read_glb(glb)
    texture = _texture(mesh) if look == "albedo" else np.full((1, 1, 3), CLAY, dtype=np.uint8)
    views = []
    for index in range(num_views):
        picture = _picture(
            mesh, texture, 360.0 * index / num_views, size_px, JUDGED_ELEVATION_DEG, lit=look != "albedo"
        )
        opacity = picture[..., 3:] / 255.0
        views.append((picture[..., :3] * opacity + 255.0 * (1.0 - opacity)).round().astype(np.uint8))
    return np.stack(views)


def _texture(mesh: DeliveredMesh) -> UInt8[np.ndarray, "T T 3"] | None:
    """The base colour; None where the mesh has its colours at the vertices."""
    return mesh.base_color() if mesh.colors is None else None


def _picture(
    mesh: DeliveredMesh,
    texture: UInt8[np.ndarray, "T T 3"] | None,
    azimuth_deg: float,
    size_px: int,
    elevation_deg: float = ELEVATION_DEG,
    *,
    lit: bool = True,
) -> UInt8[np.ndarray, "H H 4"]:
    """One view with straight alpha, under a soft key light or in its bare colours (of `texture`, else the vertices)."""
    if mesh.normals is None:
        raise ValueError("a picture needs normals")
    side_px = SUPERSAMPLING * size_px
    pose = _framing(mesh, azimuth_deg, elevation_deg)
    points = project(mesh.vertices, pose, FOVY_DEG, side_px)
    seen = rasterize(points, mesh.faces, side_px, front_only=True)
    color = _color(mesh, texture, seen)
    if lit:
        color = color * _light(seen.interpolate(mesh.normals, mesh.faces), pose)
    image = np.zeros((side_px * side_px, 4))
    image[seen.pixel] = np.column_stack((color, np.ones(len(color))))
    blocks = image.reshape(size_px, SUPERSAMPLING, size_px, SUPERSAMPLING, 4).mean(axis=(1, 3))
    opacity = blocks[..., 3:]
    straight = _to_srgb(blocks[..., :3] / np.maximum(opacity, 1e-9))
    return (np.concatenate((straight, opacity), axis=-1) * 255.0).round().astype(np.uint8)


def _color(
    mesh: DeliveredMesh, texture: UInt8[np.ndarray, "T T 3"] | None, seen: Fragments
) -> Float64[np.ndarray, "P 3"]:
    """The linear colour of each covered pixel without light."""
    if texture is not None and texture.shape[:2] == (1, 1):
        return np.broadcast_to(_to_linear(texture[0] / 255.0), (len(seen.pixel), 3))
    if texture is not None and mesh.uvs is not None:
        return _to_linear(sample_texture(texture, seen.interpolate(mesh.uvs, mesh.faces)))
    if mesh.colors is not None:
        return seen.interpolate(mesh.colors, mesh.faces)
    raise ValueError("a picture needs texture coordinates or colours at the vertices")


def _light(normals: Float64[np.ndarray, "P 3"], pose: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "P 1"]:
    """How bright each point is in linear light, in [0, 1]: Lambert's law, wrapped around the dark side."""
    unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    key = pose[:3, :3] @ (KEY_LIGHT / np.linalg.norm(KEY_LIGHT))
    wrapped = 0.5 + 0.5 * (unit @ key)
    light: Float64[np.ndarray, "P 1"] = AMBIENT + (1.0 - AMBIENT) * wrapped[:, None] ** 1.5
    return light


def _framing(mesh: DeliveredMesh, azimuth_deg: float, elevation_deg: float) -> Float64[np.ndarray, "4 4"]:
    """The pose from which the asset fills the picture at every azimuth."""
    low, high = mesh.vertices.min(axis=0).astype(np.float64), mesh.vertices.max(axis=0).astype(np.float64)
    center = 0.5 * (low + high)
    radius = float(np.linalg.norm(mesh.vertices - center, axis=1).max())
    distance = 1.02 * radius / np.sin(np.deg2rad(0.5 * FOVY_DEG))
    return orbit_pose(azimuth_deg, elevation_deg, distance, center)


def _to_linear(srgb: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P 3"]:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: Float64[np.ndarray, "H H 3"]) -> Float64[np.ndarray, "H H 3"]:
    """Linear light to sRGB in [0, 1] (IEC 61966-2-1)."""
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1.0 / 2.4) - 0.055)
