"""Measure what pictures of a GLB cost in each of the ways that there are, in seconds of CPU.

examples:
  python jobs/benchmark_pictures.py a_red_mushroom.glb
  python jobs/benchmark_pictures.py a_red_mushroom.glb --pictures out/

Our renderer draws a thumbnail of 512 px and turntables of 24 frames. Casting rays with embreex is
measured for visibility alone, as shading is the same after it. The browser draws in processes of
its own: its seconds are by the clock. A way that is absent is "not run".

exit codes:
   0  measured
   4  the command line cannot be used
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from dreamfoundry.asset.files.glb_reader import DeliveredMesh, read_glb
from dreamfoundry.asset.files.png import encode_png
from dreamfoundry.asset.gates.browser.page import Browser
from dreamfoundry.asset.maps.rasterize import project, rasterize
from dreamfoundry.asset.pictures import thumbnail
from dreamfoundry.asset.pictures.framing import FOVY_DEG, framing_pose
from dreamfoundry.cli.command_line import CommandLine
from dreamfoundry.errors import BrowserUnavailable
from dreamfoundry.run.exit_codes import EXIT_CODES

NUM_FRAMES = 24
SIDE_PX = 1024
"""Of the visibility test: a thumbnail of 512 px, twice supersampled."""


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("glb", type=Path, help="a level that was delivered")
    command_line.add_argument("--pictures", type=Path, help="folder for the thumbnails")
    arguments = command_line.parse_args()
    data = arguments.glb.read_bytes()
    mesh = read_glb(data)
    print(f"{arguments.glb.name}: {len(mesh.faces)} triangles, {len(data) / 1e6:.2f} MB")
    _measure_visibility(mesh)
    pictures = {"ours": _measure_ours(data), "browser": _measure_browser(data, mesh)}
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            if picture is not None:
                (arguments.pictures / f"{name}.png").write_bytes(encode_png(picture))
    return EXIT_CODES["complete"]


def _timed(what: str, act: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> Any:
    start = clock()
    result = act()
    print(f"  {clock() - start:7.2f} s  {what}")
    return result


def _measure_visibility(mesh: DeliveredMesh) -> None:
    pose = framing_pose(mesh.vertices, thumbnail.AZIMUTH_DEG, thumbnail.ELEVATION_DEG)
    points = project(mesh.vertices, pose, FOVY_DEG, SIDE_PX)
    fill = partial(rasterize, points, mesh.faces, SIDE_PX, front_only=True)
    seen = _timed(f"which triangle at {SIDE_PX}² points, numpy", fill)
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))
    faces = _timed(f"which triangle at {SIDE_PX}² points, embreex", lambda: _cast(scene, pose))
    drawn = np.full(SIDE_PX * SIDE_PX, -1)
    drawn[seen.pixel] = seen.face
    print(f"             the two differ at {(drawn != faces).sum()} points")


def _cast(scene: Any, pose: np.ndarray) -> np.ndarray:
    axis = (np.arange(SIDE_PX) + 0.5 - SIDE_PX / 2) / (SIDE_PX / 2) * np.tan(np.deg2rad(FOVY_DEG) / 2)
    local = np.stack([*np.meshgrid(axis, -axis), np.full((SIDE_PX, SIDE_PX), -1.0)], axis=-1).reshape(-1, 3)
    directions = (local @ pose[:3, :3].T).astype(np.float32)
    origins = np.tile(pose[:3, 3].astype(np.float32), (len(directions), 1))
    faces: np.ndarray = scene.run(origins, directions, output=True)["primID"]
    return faces


def _turntable(data: bytes, size_px: int) -> np.ndarray:
    return thumbnail.turntable(read_glb(data), NUM_FRAMES, size_px)


def _measure_ours(data: bytes) -> np.ndarray:
    picture: np.ndarray = _timed("ours: thumbnail of 512 px", lambda: thumbnail.thumbnail(read_glb(data), 512))
    for size_px in (192, 256, 384, 512):
        _timed(f"ours: {NUM_FRAMES} frames of {size_px} px", partial(_turntable, data, size_px))
    return picture


def _measure_browser(data: bytes, mesh: DeliveredMesh) -> np.ndarray | None:
    def poses(count: int) -> np.ndarray:
        azimuths_deg = [thumbnail.AZIMUTH_DEG + 360.0 * index / count for index in range(count)]
        return np.stack([framing_pose(mesh.vertices, azimuth, thumbnail.ELEVATION_DEG) for azimuth in azimuths_deg])

    try:
        start = time.monotonic()
        with Browser() as browser:
            print(f"  {time.monotonic() - start:7.2f} s  browser: start, by the clock ({browser.version()})")
            for words in ("first", "next"):
                looked = _timed(
                    f"browser: {words} thumbnail of 512 px, by the clock",
                    lambda: browser.render(data, poses(1), FOVY_DEG, 512),
                    time.monotonic,
                )
            _timed(
                f"browser: {NUM_FRAMES} frames of 256 px, by the clock",
                lambda: browser.render(data, poses(NUM_FRAMES), FOVY_DEG, 256),
                time.monotonic,
            )
    except BrowserUnavailable as reason:
        print(f"  not run    browser: {reason}")
        return None
    picture: np.ndarray = looked.pictures[0]
    return picture


if __name__ == "__main__":
    sys.exit(main())
