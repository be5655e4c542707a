"""Stage 5: the levels of detail with their textures, each unwrapped and baked on its own.

Dimension key:  R voxels per side
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from dreamfoundry.asset.maps import texture
from dreamfoundry.asset.maps.bake import DenseSurface
from dreamfoundry.asset.maps.charts import chart_figures
from dreamfoundry.asset.maps.shared import shared_levels
from dreamfoundry.asset.maps.unwrap import Atlas, unwrap
from dreamfoundry.asset.stage_timer import StageTimer
from dreamfoundry.asset.surface.relax import relax
from dreamfoundry.errors import ExportTimeout, SurfaceFailed
from dreamfoundry.records import ColoredMesh, Finding, Surface, TexturedMesh
from dreamfoundry.settings.export_profiles import ExportProfile

STUCK = "the charts of the finest level have too many corners to keep with so few triangles"

MORE_ROUNDS = 20
"""Rounds of relaxation before a level that fell into too many charts is unwrapped once more."""


def share_atlas(
    levels: Sequence[Surface], profile: ExportProfile, timer: StageTimer
) -> tuple[list[Surface], list[Atlas]]:
    """The levels, and the parts of one atlas for the first of them; none unless the profile shares it.

    A coarser level with a part is made from the finest (`asset.maps.shared`), with no more triangles than it had.
    """
    if not profile.shared_atlas:
        return list(levels), []

    with timer.stage("unwrap"):
        try:
            atlas = best_atlas(levels[0], profile.texture_px[0], profile)
        except (ExportTimeout, SurfaceFailed):  # told where the levels get their textures
            return list(levels), []
        coarser = shared_levels(levels[0], atlas, [len(level.faces) for level in levels[1:]])
        surfaces = [levels[0], *(surface for surface, _ in coarser)]
        return [*surfaces, *levels[len(surfaces) :]], [atlas, *(part for _, part in coarser)]


def texture_levels(
    levels: Sequence[Surface],
    shared: Sequence[Atlas],
    surface: Surface,
    colors: UInt8[np.ndarray, "R R R 3"],
    bound: float,
    profile: ExportProfile,
    timer: StageTimer,
) -> tuple[list[TexturedMesh | ColoredMesh], list[Finding]]:
    """The levels in scene units with their maps, and a warning for each that could not be unwrapped.

    `colors` is the grid of `texture.surface_colors` over [-bound, bound]^3; `surface` is the dense one.
    Levels with a part in `shared` (of `share_atlas`) have the maps of the finest, the others their own.
    A level that cannot be unwrapped has its colours at the vertices. Counted as "unwrap" and "bake".
    """
    with timer.stage("bake"):
        dense = DenseSurface.of(surface) if profile.detail_maps else None

    meshes: list[TexturedMesh | ColoredMesh] = []
    findings: list[Finding] = []
    for number, (level, texture_px) in enumerate(zip(levels, profile.texture_px, strict=True)):
        if 0 < number < len(shared):
            finest = meshes[0]
            assert isinstance(finest, TexturedMesh)  # it has an atlas
            meshes.append(texture.part_of(finest, shared[number]))
            continue
        if shared and number:
            findings.append(Finding("warn", "unwrapped", "xatlas", f"LOD{number} has an atlas of its own: {STUCK}"))

        atlas = shared[0] if shared and not number else None
        with timer.stage("unwrap"):
            try:
                atlas = atlas or best_atlas(level, texture_px, profile)
            except (ExportTimeout, SurfaceFailed) as failure:
                findings.append(Finding("warn", "unwrapped", "xatlas", f"LOD{number} has vertex colours: {failure}"))

        with timer.stage("bake"):
            if atlas is None:
                meshes.append(texture.colored(level, colors, bound))
            else:
                meshes.append(texture.textured(level, atlas, colors, bound, texture_px, dense))
    return meshes, findings


def best_atlas(level: Surface, texture_px: int, profile: ExportProfile) -> Atlas:
    """The atlas of `level`; where it is shattered, that of a relaxed copy if it has fewer charts.

    Only the charts are the copy's, since its faces are those of the level. Raises what `unwrap` raises for the level.
    """
    atlas = unwrap(level, texture_px, profile.unwrap_limit_s, profile.lightmap_px)
    figures = chart_figures(atlas.uvs, atlas.faces)
    if not figures.shattered(profile.max_charts, profile.max_small_charts):
        return atlas

    try:
        other = unwrap(relax(level, MORE_ROUNDS), texture_px, profile.unwrap_limit_s, profile.lightmap_px)
    except (ExportTimeout, SurfaceFailed):
        return atlas
    return other if chart_figures(other.uvs, other.faces).cost < figures.cost else atlas
