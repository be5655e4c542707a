"""Gate on the second set of texture coordinates: within the lightmap, no chart on another, and room between them.

Dimension key:  N vertices · F faces · S grid points per side
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Integer
from scipy.ndimage import distance_transform_edt

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.findings import block, warn
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.asset.gates.maps.atlas import MAX_OVERLAP, atlas_use
from dreamfoundry.asset.maps.charts import chart_of_face
from dreamfoundry.asset.maps.rasterize import rasterize
from dreamfoundry.asset.maps.unwrap import LIGHTMAP_GAP_PX
from dreamfoundry.records import Finding

GATE = "lightmap"

POINTS_PER_TEXEL = 4
"""Grid points along a texel, for distances to a quarter of it."""


def smallest_gap(uvs: Float32[np.ndarray, "N 2"], faces: Integer[np.ndarray, "F 3"], side_px: int) -> float:
    """Smallest distance between two charts in texels of a picture of this side, to a quarter; infinite for one chart.

    Every grid point belongs to its nearest chart; the gap between two is shortest where their regions meet.
    """
    side = side_px * POINTS_PER_TEXEL
    on_grid = np.column_stack((uvs.astype(np.float64) * side, np.ones(len(uvs))))
    fragments = rasterize(on_grid, faces, side)
    chart = np.full((side, side), -1, dtype=np.int64)
    chart.reshape(-1)[fragments.pixel] = chart_of_face(faces, len(uvs))[fragments.face]
    if (chart < 0).all():
        return np.inf

    distance, nearest = distance_transform_edt(chart < 0, return_indices=True)
    region = chart[tuple(nearest)]
    gaps = [np.inf]
    for one, other in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        meeting = region[one] != region[other]
        gaps.append(float((distance[one] + distance[other])[meeting].min(initial=np.inf)))
    return min(gaps) / POINTS_PER_TEXEL


def _problems(mesh: DeliveredMesh, lightmap_px: int) -> Iterator[Finding]:
    uvs = mesh.lightmap_uvs
    if uvs is None or mesh.lightmap_px != lightmap_px:
        told = f"says lightmap_px = {mesh.lightmap_px}" if uvs is not None else "has no TEXCOORD_1"
        yield block(GATE, f"the level {told}: must be packed for lightmap_px = {lightmap_px}")
    elif not ((uvs >= 0.0) & (uvs <= 1.0)).all():
        yield block(GATE, "coordinates for the lightmap lie outside of [0, 1]")
    elif (overlap := atlas_use(uvs, mesh.faces, lightmap_px).overlap) > MAX_OVERLAP:
        yield block(GATE, f"{overlap:.1%} of the lightmap belong to several triangles: at most {MAX_OVERLAP:.0%} may")
    elif (gap := smallest_gap(uvs, mesh.faces, lightmap_px)) < LIGHTMAP_GAP_PX:
        yield warn(
            GATE,
            f"charts lie {gap:.2g} texels apart on {lightmap_px} px: should be {LIGHTMAP_GAP_PX}; "
            "a larger lightmap_px would help",
        )


def _check(draft: AssetDraft) -> CheckResult:
    findings: list[Finding] = []
    scores: dict[str, float] = {}
    lightmap_px = draft.profile.lightmap_px
    for number, level in enumerate(draft.levels if lightmap_px else ()):
        try:
            mesh = level.mesh
        except ValueError:  # the gate "readable" refuses it
            continue
        if mesh.uvs is None:
            continue  # it could not be unwrapped

        findings += [
            Finding(p.severity, p.gate, p.tool, f"{level.name}: {p.message}") for p in _problems(mesh, lightmap_px)
        ]
        if mesh.lightmap_uvs is not None:
            use = atlas_use(np.clip(mesh.lightmap_uvs, 0.0, 1.0), mesh.faces, lightmap_px)
            scores[f"lightmap_coverage_LOD{number}"] = use.coverage
    return CheckResult(findings, scores)


LIGHTMAP = Check((GATE,), "files", _check)
