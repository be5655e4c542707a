"""Stage 5, the UV atlas, made by xatlas in a child process that can be killed.

xatlas takes hours on some meshes and has crashed on others (gltf meshes of hundreds of thousands
of faces); neither may take the worker with it. The child is this file run as a program: arrays
as npz on standard input and output. It dies with its parent.

Dimension key:  N vertices · F faces · M vertices after splitting along the seams
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt32

from dreamfoundry.errors import ExportTimeout, SurfaceFailed
from dreamfoundry.host.child_process import die_with, package_environment
from dreamfoundry.records import Surface


@dataclass(frozen=True)
class Atlas:
    """A mesh split along the seams of its charts.

    `source` names the vertex of the surface that each split vertex repeats; `uvs` are in [0, 1],
    origin at the top left of the texture (glTF).
    """

    source: UInt32[np.ndarray, " M"]
    faces: UInt32[np.ndarray, "F 3"]
    uvs: Float32[np.ndarray, "M 2"]


def unwrap(surface: Surface, texture_px: int, limit_s: float) -> Atlas:
    """Charts without overlap for a square texture of `texture_px`.

    Raises ExportTimeout after `limit_s` seconds, SurfaceFailed when xatlas crashes.
    """
    request = _packed(vertices=surface.vertices, faces=surface.faces, texture_px=np.int64(texture_px))
    try:
        child = subprocess.run(
            [sys.executable, "-m", "dreamfoundry.asset.maps.unwrap", str(os.getpid())],
            input=request,
            capture_output=True,
            timeout=limit_s,
            env=package_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExportTimeout(
            f"unwrap of {len(surface.faces)} triangles: killed after unwrap_limit_s = {limit_s:g} s; "
            "a smaller triangle budget or a longer limit would help"
        ) from None

    if child.returncode != 0:
        words = child.stderr.decode(errors="replace").strip().splitlines()
        last = words[-1] if words else "no message"
        raise SurfaceFailed(f"unwrap of {len(surface.faces)} triangles: exit status {child.returncode}: {last}")
    with np.load(io.BytesIO(child.stdout), allow_pickle=False) as arrays:
        return Atlas(source=arrays["source"], faces=arrays["faces"], uvs=arrays["uvs"])


def _packed(**arrays: np.ndarray | np.integer) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _charts(vertices: np.ndarray, faces: np.ndarray, texture_px: int) -> bytes:
    import xatlas  # in the child only: a crash of the extension ends the child, not the worker

    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices, faces)
    options = xatlas.PackOptions()
    options.resolution = options.max_chart_size = texture_px
    options.padding = max(2, texture_px // 256)
    options.bilinear = True
    atlas.generate(pack_options=options)
    source, split_faces, uvs = atlas[0]
    if atlas.atlas_count != 1:
        raise SystemExit(f"xatlas made {atlas.atlas_count} pages, one was asked for")
    return _packed(
        source=source.astype(np.uint32),
        faces=split_faces.astype(np.uint32),
        uvs=np.clip(uvs, 0.0, 1.0).astype(np.float32),
    )


def _main() -> None:
    die_with(int(sys.argv[1]))
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the extension prints must not mix with the answer
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as arrays:
        packed = _charts(arrays["vertices"], arrays["faces"], int(arrays["texture_px"]))
    with answer:
        answer.write(packed)


if __name__ == "__main__":
    _main()
