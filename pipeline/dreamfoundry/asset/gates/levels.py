"""Gates on the levels of detail: every gate on each of them, then one against the next."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import DeliveredMesh, Glb
from dreamfoundry.asset.findings import block, warn
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.asset.gates.frames import normal_problems, tangent_problems
from dreamfoundry.asset.gates.maps.atlas import AtlasUse, atlas_problems, atlas_use
from dreamfoundry.asset.gates.maps.textures import map_problems, texture_gpu_bytes
from dreamfoundry.asset.gates.solid import solid_problems
from dreamfoundry.records import Finding
from dreamfoundry.settings.export_profiles import Pivot

PLACEMENT_TOLERANCE = 0.01
"""Share of the height by which the first level may miss height, ground and axis."""

COARSE_TOLERANCE = 0.08
"""The same for coarser levels, which keep the placement of the first but lose detail."""

GROUND_TOLERANCE = 0.001
"""Share of the height by which the ground of a coarser level may differ from that of the first."""

MIN_SIDE_M, MAX_SIDE_M = 0.01, 1000.0
"""A height is at most 100 m (`manifest.row`): what passes this is ten times as long as it is high."""

GATES = (
    "readable",
    "finite",
    "unit_normals",
    "watertight",
    "one_component",
    "volume",
    "winding",
    "triangle_budget",
    "levels_decreasing",
    "base_at_origin",
    "same_ground",
    "height",
    "longest_side",
    "unwrapped",
    "uv_range",
    "uv_overlap",
    "uv_coverage",
    "image_decodes",
    "image_size",
    "base_color_range",
    "base_color_varies",
    "occlusion",
    "normal_map",
    "tangents",
)
"""Gates on a level; `unwrapped` is answered where levels get their textures (`asset.maps.levels`)."""


@dataclass(frozen=True)
class LevelLimits:
    """Limits of one level: at most so many triangles, maps of `texture_px` (a power of two), `height_m` high."""

    max_triangles: int
    texture_px: int
    height_m: float
    pivot: Pivot = "base_center"


def check_levels(levels: Sequence[Glb], limits: Sequence[LevelLimits]) -> tuple[list[Finding], dict[str, float]]:
    """All findings on the levels of detail, finest first, and scores of their texture use.

    `levels` and `limits` run in parallel. The scores are `uv_coverage_LODn` and `uv_overlap_LODn` (see
    `AtlasUse`) of the levels that have texture coordinates.
    """
    findings: list[Finding] = []
    scores: dict[str, float] = {}
    counts: list[int] = []
    grounds_m: list[float] = []
    for number, (level, limit) in enumerate(zip(levels, limits, strict=True)):
        try:
            mesh = level.mesh
        except ValueError as error:
            findings.append(block("readable", f"{level.name}: {error}"))
            continue

        counts.append(len(mesh.faces))
        grounds_m.append(float(mesh.vertices[:, 1].min()))
        problems, use = _level(mesh, limit, COARSE_TOLERANCE if number else PLACEMENT_TOLERANCE)
        findings.extend(replace(problem, message=f"{level.name}: {problem.message}") for problem in problems)
        if use is not None:
            scores |= {f"uv_coverage_LOD{number}": use.coverage, f"uv_overlap_LOD{number}": use.overlap}

    if any(later >= earlier for earlier, later in pairwise(counts)):
        findings.append(block("levels_decreasing", f"triangles per level = {counts}: must strictly decrease"))
    if grounds_m and np.ptp(grounds_m) > (allowed_m := GROUND_TOLERANCE * limits[0].height_m):
        told = ", ".join(f"{ground_m:.4g}" for ground_m in grounds_m)
        findings.append(warn("same_ground", f"lowest y per level = {told} m: should be equal within {allowed_m:.2g} m"))
    return findings, scores


def _level(mesh: DeliveredMesh, limit: LevelLimits, tolerance: float) -> tuple[list[Finding], AtlasUse | None]:
    """Findings on one level, and the use of its texture where it has one."""
    arrays = [a for a in (mesh.vertices, mesh.normals, mesh.tangents, mesh.uvs, mesh.colors) if a is not None]
    if not all(np.isfinite(array).all() for array in arrays):
        return [block("finite", "a position, normal, tangent, coordinate or colour is not a finite number")], None
    if mesh.faces.size == 0 or int(mesh.faces.max()) >= len(mesh.vertices):
        return [block("readable", "there is no triangle, or one names a vertex that does not exist")], None

    problems = list(chain(_size_problems(mesh, limit, tolerance), solid_problems(mesh), normal_problems(mesh)))
    if mesh.colors is not None:  # at its vertices: it could not be unwrapped, or is the dense surface
        return problems, None

    problems += map_problems(mesh, limit.texture_px)
    if mesh.uvs is None or not ((mesh.uvs >= 0.0) & (mesh.uvs <= 1.0)).all():
        return [*problems, block("uv_range", "texture coordinates are missing or outside of [0, 1]")], None
    use = atlas_use(mesh.uvs, mesh.faces, limit.texture_px)
    return [*problems, *atlas_problems(use), *tangent_problems(mesh)], use


def _size_problems(mesh: DeliveredMesh, limit: LevelLimits, tolerance: float) -> Iterator[Finding]:
    if len(mesh.faces) > limit.max_triangles:
        yield block("triangle_budget", f"{len(mesh.faces)} triangles: the budget is {limit.max_triangles}")
    low, high = mesh.vertices.min(axis=0).astype(np.float64), mesh.vertices.max(axis=0).astype(np.float64)
    height, longest = float(high[1] - low[1]), float((high - low).max())
    if not abs(height - limit.height_m) <= tolerance * limit.height_m:
        yield block("height", f"height = {height:.4g} m: must be {limit.height_m:g} m within {tolerance:.0%}")
    if not MIN_SIDE_M <= longest <= MAX_SIDE_M:
        yield block("longest_side", f"longest side = {longest:.4g} m: must be {MIN_SIDE_M:g} to {MAX_SIDE_M:g} m")
    allowed = tolerance * longest
    center = 0.5 * (low + high)
    word, y = ("lowest", low[1]) if limit.pivot == "base_center" else ("middle", center[1])
    if not max(abs(y), abs(center[0]), abs(center[2])) <= allowed:
        yield block(
            "base_at_origin",
            f"{word} y = {y:.4g} m, middle x, z = {center[0]:.4g}, {center[2]:.4g} m: must be 0 within {allowed:.2g} m",
        )


def _check(draft: AssetDraft) -> CheckResult:
    limits = [
        LevelLimits(max_triangles, texture_px, draft.height_m, draft.profile.pivot)
        for max_triangles, texture_px in zip(draft.profile.triangles, _textures_px(draft), strict=True)
    ]
    findings, scores = check_levels(draft.levels, limits)
    if draft.dense is not None:
        no_budget = replace(limits[0], max_triangles=sys.maxsize)
        findings += check_levels([draft.dense], [no_budget])[0]
    readable = [level for level in draft.levels if _is_readable(level)]
    return CheckResult(findings, {**scores, "texture_gpu_bytes": float(texture_gpu_bytes(readable))})


def _textures_px(draft: AssetDraft) -> list[int]:
    """Side of the base colour of each level: that of the finest where a level has the same picture."""
    sides_px = list(draft.profile.texture_px)
    if draft.profile.shared_atlas:
        pictures = [level.mesh.base_color_png if _is_readable(level) else b"" for level in draft.levels]
        sides_px = [
            sides_px[0] if picture == pictures[0] else side_px
            for picture, side_px in zip(pictures, sides_px, strict=True)
        ]
    return sides_px


def _is_readable(level: Glb) -> bool:
    try:
        return level.mesh is not None
    except ValueError:
        return False


LEVELS = Check(GATES, "files", _check)
