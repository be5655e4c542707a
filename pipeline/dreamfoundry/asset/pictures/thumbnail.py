"""Stage 6, pictures of the delivered file: thumbnails, a turntable and views to judge, without GPU or display.

They are drawn from the GLB as it was written, so what is wrong with the file is wrong in the
picture. Azimuth 0 stands on +Z, where the front is, and grows towards +X.

Dimension key:  V views · H picture side in pixels
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.files.png import encode_png
from dreamfoundry.asset.pictures.renderer import Drawable, draw
from dreamfoundry.settings.export_profiles import ExportProfile

AZIMUTH_DEG = 30.0
"""Of the thumbnails: the front and one side."""

ELEVATION_DEG = 20.0
FRAME_MS = 90

GROUND = 224
"""Grey level behind the turntable where it cannot be transparent."""

JUDGED_ELEVATION_DEG = 30.0
"""Height of the views that are judged, as in DreamFusion 4."""


def draw_pictures(mesh: DeliveredMesh, profile: ExportProfile) -> tuple[dict[str, bytes], UInt8[np.ndarray, "V H H 4"]]:
    """The picture files of an asset, and the pictures from around it: its turntable, else the thumbnail alone."""
    picture = thumbnail(mesh, profile.thumbnail_px)
    files = {"thumbnail.png": encode_png(picture), f"thumb_{profile.thumbnail_px}.webp": webp([picture])}
    if profile.turntable_frames == 0:
        return files, picture[None]
    frames = turntable(mesh, profile.turntable_frames, profile.turntable_px)
    return {**files, "turntable.webp": webp(frames)}, frames


def thumbnail(mesh: DeliveredMesh, size_px: int) -> UInt8[np.ndarray, "H H 4"]:
    """The asset from the front right, slightly from above, on a transparent ground, with straight alpha."""
    return draw(Drawable.of(mesh, size_px), AZIMUTH_DEG, ELEVATION_DEG)


def turntable(mesh: DeliveredMesh, num_frames: int, size_px: int) -> UInt8[np.ndarray, "V H H 4"]:
    """One turn around the asset on a transparent ground; the viewer walks towards +X, beginning at the front."""
    drawable = Drawable.of(mesh, size_px)
    return np.stack([draw(drawable, 360.0 * index / num_frames, ELEVATION_DEG) for index in range(num_frames)])


def webp(frames: Sequence[UInt8[np.ndarray, "H H 4"]] | UInt8[np.ndarray, "V H H 4"]) -> bytes:
    """A picture as WebP, or several as an endless animation of FRAME_MS each, with transparency."""
    first, *others = (Image.fromarray(frame) for frame in frames)
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="WEBP",
        save_all=bool(others),
        append_images=others,
        duration=FRAME_MS,
        loop=0,
        quality=85,
        method=3,
        minimize_size=False,
    )
    return buffer.getvalue()


def judged_views(
    mesh: DeliveredMesh, mode: Literal["albedo", "textureless"], num_views: int, size_px: int
) -> UInt8[np.ndarray, "V H H 3"]:
    """Views all around on white, the first from the front: what a score of text and picture looks at.

    They show the bare texture, or the shape alone in one grey under the light of the thumbnail.
    """
    drawable = Drawable.of(mesh, size_px, mode)
    views = [draw(drawable, 360.0 * index / num_views, JUDGED_ELEVATION_DEG) for index in range(num_views)]
    return on_ground(np.stack(views), 255)


def on_ground(pictures: UInt8[np.ndarray, "V H H 4"], level: int = GROUND) -> UInt8[np.ndarray, "V H H 3"]:
    """The pictures on one grey level of [0, 255], for what knows no transparency."""
    opacity = pictures[..., 3:].astype(np.float32) / np.float32(255.0)
    mixed: np.ndarray = (pictures[..., :3] * opacity + np.float32(level) * (1.0 - opacity)).round().astype(np.uint8)
    return mixed
