"""CPU seconds of pictures of a GLB: our rasteriser, ray casting with embreex, and a browser.

Our renderer draws a thumbnail of 512 px and turntables of 24 frames. Casting rays is measured for
visibility alone, as shading is the same after it. The browser draws in processes of its own: its
seconds are by the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from dreamfoundry.asset.files.glb_reader import DeliveredMesh, read_glb
from dreamfoundry.asset.gates.browser.page import Browser
from dreamfoundry.asset.maps.rasterize import project, rasterize
from dreamfoundry.asset.pictures import thumbnail
from dreamfoundry.asset.pictures.framing import FOVY_DEG, framing_pose
from dreamfoundry.errors import BrowserUnavailable

NUM_FRAMES = 24
SIDE_PX = 1024
"""Of the visibility test: a thumbnail of 512 px, twice supersampled."""

Say = Callable[[str], None]


def measure_pictures(name: str, data: bytes, say: Say) -> Mapping[str, np.ndarray | None]:
    """Thumbnails of the GLB `data` by renderer, None where one is absent; seconds go to `say`."""
    mesh = read_glb(data)
    say(f"{name}: {len(mesh.faces)} triangles, {len(data) / 1e6:.2f} MB")
    _measure_visibility(mesh, say)
    return {"ours": _measure_ours(data, say), "browser": _measure_browser(data, mesh, say)}


def _timed(say: Say, title: str, act: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> Any:
    start = clock()
    result = act()
    say(f"  {clock() - start:7.2f} s  {title}")
    return result


def _measure_visibility(mesh: DeliveredMesh, say: Say) -> None:
    pose = framing_pose(mesh.vertices, thumbnail.AZIMUTH_DEG, thumbnail.ELEVATION_DEG)
    points = project(mesh.vertices, pose, FOVY_DEG, SIDE_PX)
    fill = partial(rasterize, points, mesh.faces, SIDE_PX, front_only=True)
    visible = _timed(say, f"which triangle at {SIDE_PX}² points, numpy", fill)
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))
    faces = _timed(say, f"which triangle at {SIDE_PX}² points, embreex", lambda: _cast(scene, pose))
    drawn = np.full(SIDE_PX * SIDE_PX, -1)
    drawn[visible.pixel] = visible.face
    say(f"             the two differ at {(drawn != faces).sum()} points")


def _cast(scene: Any, pose: np.ndarray) -> np.ndarray:
    axis = (np.arange(SIDE_PX) + 0.5 - SIDE_PX / 2) / (SIDE_PX / 2) * np.tan(np.deg2rad(FOVY_DEG) / 2)
    local = np.stack([*np.meshgrid(axis, -axis), np.full((SIDE_PX, SIDE_PX), -1.0)], axis=-1).reshape(-1, 3)
    directions = (local @ pose[:3, :3].T).astype(np.float32)
    origins = np.tile(pose[:3, 3].astype(np.float32), (len(directions), 1))
    faces: np.ndarray = scene.run(origins, directions, output=True)["primID"]
    return faces


def _measure_ours(data: bytes, say: Say) -> np.ndarray:
    picture: np.ndarray = _timed(say, "ours: thumbnail of 512 px", lambda: thumbnail.thumbnail(read_glb(data), 512))
    for size_px in (192, 256, 384, 512):
        _timed(say, f"ours: {NUM_FRAMES} frames of {size_px} px", partial(_turntable, data, size_px))
    return picture


def _turntable(data: bytes, size_px: int) -> np.ndarray:
    return thumbnail.turntable(read_glb(data), NUM_FRAMES, size_px)


def _measure_browser(data: bytes, mesh: DeliveredMesh, say: Say) -> np.ndarray | None:
    def poses(count: int) -> np.ndarray:
        azimuths_deg = [thumbnail.AZIMUTH_DEG + 360.0 * index / count for index in range(count)]
        return np.stack([framing_pose(mesh.vertices, azimuth, thumbnail.ELEVATION_DEG) for azimuth in azimuths_deg])

    try:
        start = time.monotonic()
        with Browser() as browser:
            say(f"  {time.monotonic() - start:7.2f} s  browser: start, by the clock ({browser.version()})")
            for order in ("first", "next"):
                drawn = _timed(
                    say,
                    f"browser: {order} thumbnail of 512 px, by the clock",
                    lambda: browser.render(data, poses(1), FOVY_DEG, 512),
                    time.monotonic,
                )
            _timed(
                say,
                f"browser: {NUM_FRAMES} frames of 256 px, by the clock",
                lambda: browser.render(data, poses(NUM_FRAMES), FOVY_DEG, 256),
                time.monotonic,
            )
    except BrowserUnavailable as reason:
        say(f"  not run    browser: {reason}")
        return None
    picture: np.ndarray = drawn.pictures[0]
    return picture
