"""Stage 5, the UV atlas, made by xatlas in a child process that can be killed.

xatlas takes hours on some meshes and has crashed on others (gltf meshes of hundreds of thousands
of faces); neither may take the worker with it. The child is this file run as a program: arrays
as npz on standard input and output. It dies with its parent.

Dimension key:  N vertices · F faces · M vertices after splitting along the seams
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt32

from dreamfoundry.asset.maps.charts import doubled_areas
from dreamfoundry.asset.maps.merge import merge_small_charts
from dreamfoundry.errors import ExportTimeout, SurfaceFailed
from dreamfoundry.host.child_process import die_with, package_environment
from dreamfoundry.records import Surface


@dataclass(frozen=True)
class Atlas:
    """A mesh split along the seams of its charts.

    `source` names the vertex of the surface that each split vertex repeats; `uvs` are in [0, 1],
    origin at the top left of the texture (glTF). `lightmap_uvs` are the same charts in another layout,
    for a lightmap of `lightmap_px`. `of_finest` names the split vertices of the finest level that these are, where a
    coarser level keeps its charts (`asset.maps.shared`).
    """

    source: UInt32[np.ndarray, " M"]
    faces: UInt32[np.ndarray, "F 3"]
    uvs: Float32[np.ndarray, "M 2"]
    lightmap_uvs: Float32[np.ndarray, "M 2"] | None = None
    lightmap_px: int = 0
    of_finest: UInt32[np.ndarray, " M"] | None = None


CHARTING_SIZE = 1000.0
"""Diagonal of a surface as xatlas gets it."""

ROUGH_PX = 128
"""Side of the first packing, of which only the charts are used."""

PACKED_PX = 1024
"""Largest side at which charts are packed; a larger texture has the same layout, with more texels between charts."""

LIGHTMAP_GAP_PX = 2
"""Least texels between two charts of a lightmap, whose neighbours share light through bilinear filtering only."""

COVERAGES = tuple(0.72 * 0.9**k for k in range(42))
"""Shares of the texture that charts are scaled to, down to 1 %. A search by halves takes the largest that fits."""


def unwrap(surface: Surface, texture_px: int, limit_s: float, lightmap_px: int = 0) -> Atlas:
    """Charts without overlap for a square texture of `texture_px`, each with `padding_px` around it.

    With `lightmap_px` the same charts are packed once more for a lightmap of that side, `LIGHTMAP_GAP_PX` apart.

    Raises ExportTimeout after `limit_s` seconds of CPU time, SurfaceFailed when xatlas crashes. A loaded machine must
    not make another asset of the same key, so waiting counts for nothing; what hangs is ended with its export.
    """
    request = _as_npz(
        vertices=surface.vertices,
        faces=surface.faces,
        texture_px=np.int64(texture_px),
        lightmap_px=np.int64(lightmap_px),
        limit_s=np.float64(limit_s),
    )
    child = subprocess.run(
        [sys.executable, "-m", "dreamfoundry.asset.maps.unwrap", str(os.getpid())],
        input=request,
        capture_output=True,
        env=package_environment(),
        check=False,
    )

    if child.returncode == -signal.SIGPROF:
        raise ExportTimeout(
            f"unwrap of {len(surface.faces)} triangles: killed after unwrap_limit_s = {limit_s:g} s of CPU time; "
            "a smaller triangle budget or a longer limit would help"
        )
    if child.returncode != 0:
        words = child.stderr.decode(errors="replace").strip().splitlines()
        last = words[-1] if words else "no message"
        raise SurfaceFailed(f"unwrap of {len(surface.faces)} triangles: exit status {child.returncode}: {last}")
    with np.load(io.BytesIO(child.stdout), allow_pickle=False) as arrays:
        return Atlas(**arrays, lightmap_px=lightmap_px)


def _as_npz(**arrays: np.ndarray | np.number) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def padding_px(texture_px: int) -> int:
    """Texels around each chart of a texture of this side, from 2 to 32: eight at 1024, and four at 512 and 256. Twice
    as many lie between two charts.

    A mip level reads over blocks of 2, 4, 8 texels. Beyond its edge a chart goes on with the colours behind the seam
    (`asset.maps.texture`), so half of the widest block is enough.
    """
    return max(2, min(4, texture_px // 64), texture_px // 128)


def _charts(vertices: np.ndarray, faces: np.ndarray, texture_px: int, lightmap_px: int) -> dict[str, np.ndarray]:
    """The arrays of an Atlas. In the child only: a crash of the extension ends the child, not the worker."""
    import xatlas

    # xatlas leaves out faces whose area is below an absolute limit, and gives them a point instead of a triangle
    size = np.linalg.norm(np.ptp(vertices.astype(np.float64), axis=0))
    enlarged = (vertices * (CHARTING_SIZE / max(float(size), 1e-30))).astype(np.float32)
    atlas = xatlas.Atlas()
    atlas.add_mesh(enlarged, faces)
    options = xatlas.PackOptions()
    options.resolution, options.padding = ROUGH_PX, 2
    atlas.generate(pack_options=options)
    source, split_faces, uvs = atlas[0]
    if atlas.atlas_count != 1:
        raise SystemExit(f"xatlas made {atlas.atlas_count} pages, one was asked for")

    # its width and height are its own, so coordinates are taken back to one unit of length
    places = uvs[:, 0].astype(np.float64) * atlas.width + 1j * (uvs[:, 1].astype(np.float64) * atlas.height)
    places, source, split_faces = merge_small_charts(places, source.astype(np.int64), split_faces)
    shapes = np.column_stack((places.real, places.imag)).astype(np.float32)
    arrays = {"source": source.astype(np.uint32), "faces": split_faces.astype(np.uint32)}
    packed_px = min(texture_px, PACKED_PX)
    arrays["uvs"] = _packed(shapes, arrays["faces"], packed_px, padding_px(packed_px))
    if lightmap_px:
        arrays["lightmap_uvs"] = _packed(shapes, arrays["faces"], lightmap_px, LIGHTMAP_GAP_PX // 2)
    return arrays


def _packed(shapes: np.ndarray, faces: np.ndarray, side_px: int, padding: int) -> np.ndarray:
    """The charts `shapes` in a square of `side_px`, in [0, 1], with `padding` texels around each, as large as
    fits among `COVERAGES`."""
    for texels in (padding, 0):  # what is shattered may not fit with its padding
        low, high, best = 0, len(COVERAGES), None
        while low < high:
            middle = (low + high) // 2
            uvs = _packed_to(shapes, faces, side_px, texels, COVERAGES[middle])
            if uvs is None:
                low = middle + 1
            else:
                high, best = middle, uvs
        if best is not None:
            return best
    raise SystemExit(f"the charts do not fit into {side_px} x {side_px} texels, however small they are made")


def _packed_to(shapes: np.ndarray, faces: np.ndarray, side_px: int, padding: int, coverage: float) -> np.ndarray | None:
    """The charts scaled to this share of the square, if they fit into it."""
    import xatlas

    area = 0.5 * float(doubled_areas(shapes, faces).sum())
    options = xatlas.PackOptions()
    options.resolution = options.max_chart_size = side_px
    options.padding, options.bilinear = padding, True
    options.texels_per_unit = side_px * (coverage / area) ** 0.5
    atlas = xatlas.Atlas()
    atlas.add_uv_mesh(shapes, faces)
    atlas.generate(pack_options=options)
    _, packed_faces, packed = atlas[0]

    # a chart longer than the square is shrunk alone, which would make it blurred
    uvs = np.empty_like(shapes)
    uvs[faces.reshape(-1)] = np.clip(packed[packed_faces.reshape(-1)], 0.0, 1.0)
    covered = 0.5 * float(doubled_areas(uvs, faces).sum())
    return uvs if atlas.atlas_count == 1 and covered > 0.97 * coverage else None


def _main() -> None:
    die_with(int(sys.argv[1]))
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the extension prints must not mix with the answer
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as arrays:
        signal.setitimer(signal.ITIMER_PROF, float(arrays["limit_s"]))  # CPU time; its signal ends the process
        made = _charts(arrays["vertices"], arrays["faces"], int(arrays["texture_px"]), int(arrays["lightmap_px"]))
    with answer:
        answer.write(_as_npz(**made))


if __name__ == "__main__":
    _main()
