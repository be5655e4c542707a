"""Gates on the charts of a level: not too many, none without area, and no seam that shows.

Dimension key:  N vertices · F faces · S pairs of vertices on the two sides of a seam · T texels per side · C channels
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
"""Mip level of the scores, and of the gate on the finest level, which many show from afar, too: blocks of 8 x 8."""

COARSE_MIP = 2
"""Mip level of the gate on a coarser level: when it is so small, the next one is shown."""

MIN_COMPARED_PX = 32
"""Smallest side of a picture at which the gate compares: the object then covers hardly more pixels."""


def seam_jumps(mesh: DeliveredMesh, mips: Sequence[int]) -> list[float]:
    """Mean difference, from 0 to 255 in the channel that differs most, of the base colour across the seams on each of
    the mip levels `mips`.

    A mip level holds means over blocks of 2^mip x 2^mip texels, at most the whole picture, and is read bilinearly, as
    a renderer does. Without seams all are 0. Raises ValueError where there is no base colour or it is broken.
    """
    if mesh.uvs is None:
        raise ValueError("there are no texture coordinates")
    first, second = _seams(mesh.vertices)
    jumps = []
    for mip in mips:
        colors = sample_texture(_mip_level(mesh.base_color, mip), mesh.uvs)
        jumps.append(float(np.abs(colors[first] - colors[second]).max(axis=1).mean()) if len(first) else 0.0)
    return jumps


def compared_mip(number: int, texture_px: int, picture_px: int) -> int:
    """The mip level on which the gate looks at level `number`, whose profile has `texture_px` and picture `picture_px`.

    The two differ where levels share the picture of the finest.
    """
    side_px = max(texture_px >> (COARSE_MIP if number else SCORED_MIP), MIN_COMPARED_PX)
    return max(picture_px.bit_length() - side_px.bit_length(), 0)


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


def _mip_level(picture: UInt8[np.ndarray, "T T C"], mip: int) -> Float32[np.ndarray, "t t C"]:
    block = min(1 << mip, len(picture))
    side = len(picture) // block
    means: np.ndarray = picture.astype(np.float32).reshape(side, block, side, block, -1).mean(axis=(1, 3))
    return means


def _check(draft: AssetDraft) -> CheckResult:
    findings: list[Finding] = []
    scores: dict[str, float] = {}
    for number, (level, texture_px) in enumerate(zip(draft.levels, draft.profile.texture_px, strict=False)):
        try:
            mesh = level.mesh
            mip = compared_mip(number, texture_px, len(mesh.base_color))
            scored, jump = seam_jumps(mesh, (SCORED_MIP, mip))
        except ValueError:  # without texture coordinates, or refused by "readable" or "image_decodes"
            continue

        assert mesh.uvs is not None
        figures = chart_figures(mesh.uvs, mesh.faces)
        scores |= {
            f"charts_LOD{number}": float(figures.num_charts),
            f"small_chart_share_LOD{number}": figures.small_share,
            f"flat_uv_triangles_LOD{number}": float(figures.num_flat),
            f"seam_jump_mip{SCORED_MIP}_LOD{number}": scored,
        }

        problems = list(chart_problems(figures, draft.profile))
        if jump > draft.profile.max_seam_jump:
            message = f"colours differ by {jump:.1f} of 255 across seams at {len(mesh.base_color) >> mip} px"
            problems.append(warn("seam_jump", f"{message}: should be at most {draft.profile.max_seam_jump:g}"))
        findings += [Finding(p.severity, p.gate, p.tool, f"{level.name}: {p.message}") for p in problems]
    return CheckResult(findings, scores)


CHARTS = Check(GATES, "files", _check)
