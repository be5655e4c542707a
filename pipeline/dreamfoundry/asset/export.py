"""Stages 4 to 7 in their order: a FieldSnapshot becomes the files of an asset.

This is the only place that knows the order. Everything is numpy on one core; nothing but the snapshot is
read, so an export can be repeated anywhere, with another budget, at any time.

Dimension key:  R voxels per side
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dreamfoundry.asset.deliverables import CHECKS, DELIVERABLES, GATES, MEDIA_TYPES
from dreamfoundry.asset.files import sidecar
from dreamfoundry.asset.files.deliverable import Moment
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.masters import MasterWriter
from dreamfoundry.asset.files.placement import Placement
from dreamfoundry.asset.findings import gate_results
from dreamfoundry.asset.gates.check import run_checks
from dreamfoundry.asset.gates.scores import detail_scores, hull_scores, level_scores, quality_scores
from dreamfoundry.asset.gates.shape import shape_scores
from dreamfoundry.asset.maps import texture
from dreamfoundry.asset.maps.levels import share_atlas, texture_levels
from dreamfoundry.asset.maps.unwrap import Atlas
from dreamfoundry.asset.names import file_stem
from dreamfoundry.asset.pictures.renderer import RENDERER
from dreamfoundry.asset.pictures.thumbnail import draw_pictures
from dreamfoundry.asset.stage_timer import StageTimer
from dreamfoundry.asset.surface import collision, decimate, isosurface, standing
from dreamfoundry.asset.surface.distance import DistanceMeter, SurfaceError
from dreamfoundry.asset.surface.screen_size import worthwhile
from dreamfoundry.errors import AssetInvalid
from dreamfoundry.records import AssetBundle, ColoredMesh, FieldSnapshot, Finding, Prompt, Surface
from dreamfoundry.settings.export_profiles import ExportProfile

COARSE_TRIANGLES = 1000
"""Triangles of the level that hulls are cut on: enough for its shape, few enough to try many cuts."""


def export_asset(
    snapshot: FieldSnapshot,
    prompt: Prompt,
    *,
    profile: ExportProfile,
    metadata: Mapping[str, object],
    on_stage: Callable[[str], None] = lambda stage: None,
) -> AssetBundle:
    """All files of one asset by delivered name, with findings, scores and timings.

    `metadata` (see `asset.files.metadata`) is written into every GLB and the sidecar; `on_stage` gets
    the name of each stage as it begins ("unwrap" and "bake" take turns, a level at a time). The same
    snapshot, prompt, profile and metadata give the same bytes of every file but two: a credential
    holds a time (`asset.files.c2pa`), and timings and versions are in `asset.json` alone. Raises
    PromptFailure: EmptyField, FullField, SurfaceFailed, ExportTimeout, or AssetInvalid with the names
    of the gates that refused.
    """
    timer = StageTimer(on_stage)
    with timer.stage("mesh"):
        isovalue = isosurface.choose_isovalue(snapshot)
        surface, area_share = isosurface.extract_surface(snapshot, isovalue.density, profile.surface_style)
        surface = standing.with_flat_base(surface) if profile.flat_base else surface
    levels, shared, errors = _levels(surface, profile, timer)
    profile = profile.with_levels(len(levels))
    with timer.stage("quality"):
        losses = {**level_scores(snapshot, levels, errors), **shape_scores(levels, surface)}
    with timer.stage("collision"):
        hulls = _hulls(levels, profile)
    with timer.stage("bake"):
        colors = texture.surface_colors(snapshot, isovalue.density)
    textured, findings = texture_levels(levels, shared, surface, colors, snapshot.bound, profile, timer)

    with timer.stage("gltf"):
        place = Placement.of(levels[0], prompt.target_height_m, profile.pivot)
        writer = MasterWriter(file_stem(metadata), metadata, place)
        dense = _dense(surface, colors, snapshot.bound) if profile.dense else None
        masters = writer.write(textured, hulls, dense)
        draft = AssetDraft(writer.slug, profile, prompt.target_height_m, metadata, *masters, scores=losses)
    # derived GLBs come before the gates, which look at every GLB
    draft, derived_findings = _deliver("before_gates", draft, timer)
    with timer.stage("validate"):
        checked = run_checks(CHECKS, "files", draft)
    draft, later_findings = _deliver("after_gates", draft, timer)
    findings += [*checked.findings, *derived_findings, *later_findings]
    _refuse_blocked(findings)

    with timer.stage("thumbnail"):
        pictures, frames = draw_pictures(draft.master.mesh, profile)
        draft = replace(draft.with_files(pictures), frames=frames)
        findings += run_checks(CHECKS, "pictures", draft).findings
    draft, film_findings = _deliver("after_pictures", draft, timer)
    findings += film_findings
    _refuse_blocked(findings)

    with timer.stage("quality"):
        scores = {
            **quality_scores(snapshot, levels[0], textured[0]),
            **losses,
            **checked.scores,
            **hull_scores(hulls, levels[0]),
            **detail_scores(textured),
            "isovalue_per_unit": isovalue.density,
            "largest_component_area_share": area_share,
            "triangles": float(len(levels[0].faces)),
            "height_m": prompt.target_height_m,
        }
        draft = replace(draft, scores=scores)
        findings += run_checks(CHECKS, "scores", draft).findings
    return _bundle(draft, findings, checked.reports, timer)


def _levels(
    surface: Surface, profile: ExportProfile, timer: StageTimer
) -> tuple[list[Surface], list[Atlas], list[SurfaceError]]:
    """The levels of detail on the ground of `surface`, the parts of one atlas that the first of them share (none
    unless the profile orders it), and their distances to `surface`.

    Levels that do not earn their place are left out, unless the profile orders whole budgets.
    """
    with timer.stage("lod"):
        levels = decimate.levels(surface, profile.triangles, profile.surface_error)
        levels = [standing.grounded(level, surface) for level in levels]
    levels, shared = share_atlas(levels, profile, timer)
    with timer.stage("quality"):
        meter = DistanceMeter.of(surface)
        errors = [meter.error(level) for level in levels]

    kept = worthwhile([error.max for error in errors]) if profile.surface_error else list(range(len(levels)))
    return (
        [levels[number] for number in kept],
        [shared[number] for number in kept if number < len(shared)],
        [errors[number] for number in kept],
    )


def _hulls(levels: Sequence[Surface], profile: ExportProfile) -> list[Surface]:
    """Hulls are cut on a coarse level, which is fast, and reach as far as the finest."""
    if profile.collision_hulls == 0:
        return []
    coarse = min(levels, key=lambda level: abs(len(level.faces) - COARSE_TRIANGLES))
    return collision.collision_hulls(
        levels[0], coarse, max_hulls=profile.collision_hulls, max_vertices=profile.collision_hull_vertices
    )


def _dense(surface: Surface, colors: UInt8[np.ndarray, "R R R 3"], bound: float) -> ColoredMesh:
    """The surface before decimation, closed also where it only touches itself."""
    return texture.colored(decimate.decimate(surface, len(surface.faces)), colors, bound)


def _deliver(moment: Moment, draft: AssetDraft, timer: StageTimer) -> tuple[AssetDraft, list[Finding]]:
    """`draft` with the deliverables of `moment`, and the findings about them."""
    findings: list[Finding] = []
    for deliverable in DELIVERABLES:
        if deliverable.moment == moment:
            with timer.stage(deliverable.stage):
                files, notes = deliverable.produce(draft)
            draft = draft.with_files(files)
            findings += notes
    return draft, findings


def _refuse_blocked(findings: Sequence[Finding]) -> None:
    """Raise AssetInvalid where a finding blocks."""
    blocked = [finding for finding in findings if finding.severity == "block"]
    if blocked:
        gates = ", ".join(sorted({finding.gate for finding in blocked}))
        raise AssetInvalid(f"refused by {gates}: " + "; ".join(finding.message for finding in blocked[:5]))


def _bundle(
    draft: AssetDraft, findings: Sequence[Finding], reports: Mapping[str, Any], timer: StageTimer
) -> AssetBundle:
    """Everything delivered, with `validation.json` and, last because it describes the others, `asset.json`."""
    gates = gate_results(findings, GATES)
    validation = sidecar.validation_file(findings, gates, reports.get("khronos", {}))
    draft = draft.with_files({"validation.json": validation})
    known = {
        "gates": gates,
        "findings": [vars(finding) for finding in findings],
        "timings_s": timer.seconds,
        "renderer": RENDERER,
    }
    return AssetBundle(
        slug=draft.slug,
        files={**draft.files, "asset.json": sidecar.asset_file(draft, MEDIA_TYPES, known)},
        findings=tuple(findings),
        scores=draft.scores,
        timings_s=dict(timer.seconds),
    )
