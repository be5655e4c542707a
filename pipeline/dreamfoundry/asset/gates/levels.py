"""The levels of detail of one asset: every gate on each of them, then one against the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np

from dreamfoundry.asset.files.glb_reader import DeliveredMesh, read_glb
from dreamfoundry.asset.gates.atlas import AtlasUse, atlas_problems, atlas_use
from dreamfoundry.asset.gates.findings import block
from dreamfoundry.asset.gates.frames import normal_problems, tangent_problems
from dreamfoundry.asset.gates.maps import map_problems
from dreamfoundry.asset.gates.solid import solid_problems
from dreamfoundry.records import Finding

PLACEMENT_TOLERANCE = 0.01
"""Share of the height by which the first level may miss height, ground and axis."""

COARSE_TOLERANCE = 0.08
"""The same for coarser levels, which keep the placement of the first but lose detail."""

MIN_SIDE_M, MAX_SIDE_M = 0.01, 100.0


@dataclass(frozen=True)
class LevelLimits:
    """What one level was ordered to be; `texture_px` is a power of two."""

    max_triangles: int
    texture_px: int
    height_m: float


def check_levels(glbs: Mapping[str, bytes], limits: Sequence[LevelLimits]) -> tuple[list[Finding], dict[str, float]]:
    """All gates on the levels of detail, finest first, and how level n uses its texture.

    `glbs` and `limits` run in parallel. The scores are `uv_coverage_LODn` and `uv_overlap_LODn` (see
    `AtlasUse`) of the levels that have texture coordinates.
    """
    findings: list[Finding] = []
    scores: dict[str, float] = {}
    counts: list[int] = []
    for number, ((name, data), limit) in enumerate(zip(glbs.items(), limits, strict=True)):
        try:
            mesh = read_glb(data)
        except ValueError as error:
            findings.append(block("readable", f"{name}: {error}"))
            continue
        counts.append(len(mesh.faces))
        problems, use = _level(mesh, limit, COARSE_TOLERANCE if number else PLACEMENT_TOLERANCE)
        findings.extend(replace(problem, message=f"{name}: {problem.message}") for problem in problems)
        if use is not None:
            scores |= {f"uv_coverage_LOD{number}": use.coverage, f"uv_overlap_LOD{number}": use.overlap}
    if any(later >= earlier for earlier, later in pairwise(counts)):
        findings.append(block("levels_decreasing", f"triangles per level = {counts}: must strictly decrease"))
    return findings, scores


def _level(mesh: DeliveredMesh, limit: LevelLimits, tolerance: float) -> tuple[list[Finding], AtlasUse | None]:
    """What is wrong with one level, and how its texture is used where that can be told."""
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
    if not max(abs(low[1]), abs(center[0]), abs(center[2])) <= allowed:
        yield block(
            "base_at_origin",
            f"lowest y = {low[1]:.4g} m, middle x, z = {center[0]:.4g}, {center[2]:.4g} m: "
            f"must be 0 within {allowed:.2g} m",
        )
