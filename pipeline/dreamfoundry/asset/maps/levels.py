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
from dreamfoundry.asset.maps.unwrap import Atlas, unwrap
from dreamfoundry.asset.stage_timer import StageTimer
from dreamfoundry.asset.surface.relax import relax
from dreamfoundry.errors import ExportTimeout, SurfaceFailed
from dreamfoundry.records import ColoredMesh, Finding, Surface, TexturedMesh
from dreamfoundry.settings.export_profiles import ExportProfile

MORE_ROUNDS = 20
"""Rounds of relaxation before a level that fell into too many charts is unwrapped once more."""


def texture_levels(
    levels: Sequence[Surface],
    surface: Surface,
    colors: UInt8[np.ndarray, "R R R 3"],
    bound: float,
    profile: ExportProfile,
    timer: StageTimer,
) -> tuple[list[TexturedMesh | ColoredMesh], list[Finding]]:
    """The levels in scene units with their maps, and a warning for each that could not be unwrapped.

    `colors` is the grid of `texture.surface_colors` over [-bound, bound]^3; `surface` is the dense one.
    A level that cannot be unwrapped has its colours at the vertices. Counted as "unwrap" and "bake".
    """
    with timer.stage("bake"):
        dense = DenseSurface.of(surface) if profile.detail_maps else None

    meshes: list[TexturedMesh | ColoredMesh] = []
    findings = []
    for number, (level, texture_px) in enumerate(zip(levels, profile.texture_px, strict=True)):
        atlas = None
        with timer.stage("unwrap"):
            try:
                atlas = best_atlas(level, texture_px, profile)
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
