"""Gates on the charts of a level: not too many, none without area, and no seam that shows.

Dimension key:  N vertices · F faces · S pairs of vertices on the two sides of a seam · T texels per side · C channels
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.findings import warn
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.asset.maps.charts import ChartFigures, chart_figures
from dreamfoundry.asset.maps.rasterize import sample_texture
from dreamfoundry.records import Finding
from dreamfoundry.settings.export_profiles import ExportProfile

GATES = ("charts", "uv_area", "seam_jump")

SCORED_MIP = 3
"""Mip level of the scores, and of the gate on the finest level: blocks of 8 x 8 texels."""

MIN_COMPARED_PX = 64
"""Smallest side of a picture at which the gate compares: a smaller one shows no more than a few spots."""


def seam_jumps(mesh: DeliveredMesh) -> list[float]:
    """Mean difference, from 0 to 255 in the channel that differs most, of the base colour across the seams, per mip
    level from 0.

    Each mip level holds means over blocks of 2 x 2 texels of the one before, and is read bilinearly, as a
    renderer does. Without seams all are 0. Raises ValueError where there is no base colour or it is broken.
    """
    if mesh.uvs is None:
        raise ValueError("there are no texture coordinates")
    first, second = _seams(mesh.vertices)
    jumps = []
    for picture in _mip_levels(mesh.base_color):
        colors = sample_texture(picture, mesh.uvs)
        jumps.append(float(np.abs(colors[first] - colors[second]).max(axis=1).mean()) if len(first) else 0.0)
    return jumps


def chart_problems(figures: ChartFigures, profile: ExportProfile) -> Iterator[Finding]:
    if figures.num_charts > profile.max_charts:
        yield warn("charts", f"{figures.num_charts} charts: should be at most max_charts = {profile.max_charts}")
    if figures.small_share > profile.max_small_charts:
        yield warn(
            "charts",
            f"{figures.small_share:.0%} of the charts have one or two triangles: "
            f"should be at most max_small_charts = {profile.max_small_charts:.0%}",
        )
    if figures.num_flat:
        yield warn("uv_area", f"{figures.num_flat} triangles without area on the texture: should be none")


def _seams(vertices: Float32[np.ndarray, "N 3"]) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """Pairs of vertices at one place."""
    place = np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(place, kind="stable")
    same = place[order][1:] == place[order][:-1]
    return order[:-1][same], order[1:][same]


def _mip_levels(picture: UInt8[np.ndarray, "T T C"]) -> Iterator[Float32[np.ndarray, "t t C"]]:
    level: np.ndarray = picture.astype(np.float32)
    while True:
        yield level
        half = len(level) // 2
        if not half:
            return
        level = level.reshape(half, 2, half, 2, -1).mean(axis=(1, 3))


def _check(draft: AssetDraft) -> CheckResult:
    findings: list[Finding] = []
    scores: dict[str, float] = {}
    for number, level in enumerate(draft.levels):
        try:
            mesh = level.mesh
            jumps = seam_jumps(mesh)
        except ValueError:  # without texture coordinates, or refused by "readable" or "image_decodes"
            continue

        assert mesh.uvs is not None
        figures = chart_figures(mesh.uvs, mesh.faces)
        scores |= {
            f"charts_LOD{number}": float(figures.num_charts),
            f"small_chart_share_LOD{number}": figures.small_share,
            f"flat_uv_triangles_LOD{number}": float(figures.num_flat),
            f"seam_jump_mip{SCORED_MIP}_LOD{number}": jumps[min(SCORED_MIP, len(jumps) - 1)],
        }

        problems = list(chart_problems(figures, draft.profile))
        compared_px = max(draft.profile.texture_px[0] >> SCORED_MIP, MIN_COMPARED_PX)
        jump = jumps[max(len(jumps) - compared_px.bit_length(), 0)]
        if jump > draft.profile.max_seam_jump:
            message = f"colours differ by {jump:.1f} of 255 across seams at {compared_px} px"
            problems.append(warn("seam_jump", f"{message}: should be at most {draft.profile.max_seam_jump:g}"))
        findings += [Finding(p.severity, p.gate, p.tool, f"{level.name}: {p.message}") for p in problems]
    return CheckResult(findings, scores)


CHARTS = Check(GATES, "files", _check)
