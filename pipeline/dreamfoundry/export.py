"""Stages 4 to 7 in their order: a FieldSnapshot becomes the files of an asset.

This is the only place that knows the order. Everything is numpy on one core; the snapshot is all
that is read, so an export can be repeated anywhere, with another budget, at any time.
"""

from __future__ import annotations

import hashlib
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from dreamfoundry import (
    collision,
    content_credential,
    engine_bundle,
    gltf,
    lod,
    mesh,
    quality,
    sidecar,
    texture,
    thumbnail,
    usd,
    validate,
    web_glb,
    xmp,
)
from dreamfoundry.errors import AssetInvalid
from dreamfoundry.export_profiles import ExportProfile
from dreamfoundry.identity import EXPORT_VERSION, GENERATOR, OPTIMIZATION_VERSION, slug
from dreamfoundry.khronos import check_khronos
from dreamfoundry.metadata_policy import DEFAULT_POLICY, NO_ASSERTION, MetadataPolicy
from dreamfoundry.records import (
    AssetBundle,
    FieldSnapshot,
    Finding,
    PriorIdentity,
    Prompt,
    Surface,
    TexturedMesh,
)
from dreamfoundry.unwrap import unwrap

ASSET_SCHEMA = "dreamfoundry.asset.v1"
VALIDATION_SCHEMA = "dreamfoundry.validation.v1"
METADATA_SCHEMA = "dreamfoundry.asset_metadata.v1"

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for a medium that a trained model made: the machine-readable AI mark."""


def asset_metadata(
    prompt: Prompt,
    prior: PriorIdentity,
    field_key: str,
    asset_key: str,
    recipe_digest: str,
    profile: ExportProfile,
    policy: MetadataPolicy = DEFAULT_POLICY,
) -> dict[str, Any]:
    """What is written into every file of an asset: only what its asset key determines.

    Licences are SPDX; lengths are metres. The prompt and what would tell it stand in here only where
    `policy` allows it, its SHA-256 (of NFC text as UTF-8) always.
    """
    wording = {
        "prompt": prompt.text,
        "negative_prompt": prompt.negative_text,
        "view_prompts": dict(prompt.view_texts),
    }
    return {
        "schema": METADATA_SCHEMA,
        "ai_generated": True,
        "digital_source_type": DIGITAL_SOURCE_TYPE,
        "generator": GENERATOR,
        "optimization_version": OPTIMIZATION_VERSION,
        "export_version": EXPORT_VERSION,
        "asset_key": asset_key,
        "field_key": field_key,
        "recipe_digest": recipe_digest,
        **(wording if policy.embed_prompt else {}),
        "prompt_sha256": hashlib.sha256(unicodedata.normalize("NFC", prompt.text).encode()).hexdigest(),
        "seed": prompt.seed,
        "prior": {
            "id": prior.prior_id,
            "revision": prior.revision,
            "digest": prior.digest,
            "license": prior.licence,
        },
        "asset_license": policy.asset_license,
        "copyright_holder": policy.copyright_holder,
        "rights_url": policy.rights_url,
        "research_only": prior.research_only,
        "export_profile": profile.name,
        "target_height_m": prompt.target_height_m,
        "units": "m",
    }


@dataclass
class _Stopwatch:
    """Wall seconds per stage of one export; `on_stage` hears of each stage as it begins."""

    on_stage: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.on_stage(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class _Placement:
    """Scene units to metres: the base centre of the first level goes to the origin."""

    scale: float
    base_center: Float64[np.ndarray, " 3"]

    @staticmethod
    def of(surface: Surface, height_m: float) -> _Placement:
        low, high = surface.vertices.min(axis=0).astype(np.float64), surface.vertices.max(axis=0).astype(np.float64)
        center = 0.5 * (low + high)
        return _Placement(height_m / float(high[1] - low[1]), np.array([center[0], low[1], center[2]]))

    def __call__(self, vertices: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        placed: np.ndarray = ((vertices - self.base_center) * self.scale).astype(np.float32)
        return placed


def export_asset(
    snapshot: FieldSnapshot,
    prompt: Prompt,
    *,
    profile: ExportProfile,
    metadata: Mapping[str, object],
    on_stage: Callable[[str], None] = lambda stage: None,
) -> AssetBundle:
    """All files of one asset by delivered name, with findings, scores and timings.

    `metadata` (see `asset_metadata`) is written into every GLB and the sidecar; `on_stage` is told
    the name of each stage as it begins ("unwrap" and "bake" take turns, a level at a time). The same
    snapshot, prompt, profile and metadata give the same bytes of every file but two: a credential
    holds a time (`content_credential`), and timings and versions stand in `asset.json` alone. Raises
    PromptFailure: EmptyField, FullField, SurfaceFailed, ExportTimeout, or AssetInvalid with the names
    of the gates that refused.
    """
    name = _file_stem(metadata)
    watch = _Stopwatch(on_stage)
    with watch.stage("mesh"):
        isovalue = mesh.choose_isovalue(snapshot)
        surface, area_share = mesh.extract_surface(snapshot, isovalue.density)
    with watch.stage("lod"):
        levels = lod.levels(surface, profile.triangles)
    with watch.stage("collision"):
        hulls = _hulls(levels, profile)
    textured = _textured_levels(snapshot, isovalue.density, levels, profile, watch)
    place = _Placement.of(levels[0], prompt.target_height_m)
    with watch.stage("gltf"):
        glbs = _level_files(textured, place, name, metadata)
        hulls = [replace(hull, vertices=place(hull.vertices)) for hull in hulls]
        if hulls:
            glbs[f"{name}_collision.glb"] = gltf.collision_glb(
                hulls, slug=name, metadata=metadata, copyright_text=_copyright(metadata)
            )
        packet = xmp.packet(metadata, _copyright(metadata))
        glbs = {file: xmp.stamped(data, packet) for file, data in glbs.items()}
    files = dict(glbs)
    if profile.engine_bundles:
        files |= engine_bundle.engine_bundles(glbs[f"{name}.glb"], glbs[f"{name}_collision.glb"], slug=name)
    with watch.stage("web"):
        web_files, web_findings = _web(glbs[f"{name}.glb"], name, profile)
        files |= web_files
    with watch.stage("validate"):
        findings, khronos_reports = _check(files, list(glbs), name, profile, prompt.target_height_m)
    findings += web_findings
    with watch.stage("usd"):
        stage_files, stage_findings = _usdz(glbs, name, profile, metadata)
        files |= stage_files
        findings += stage_findings
    with watch.stage("sign"):
        credential, credential_findings = content_credential.signed(
            f"{name}.glb", glbs[f"{name}.glb"], str(metadata["digital_source_type"])
        )
        files |= credential
        findings += credential_findings
    _refuse_blocked(findings)
    with watch.stage("thumbnail"):
        master = glbs[f"{name}.glb"]
        files["thumbnail.png"] = thumbnail.thumbnail_png(master, profile.thumbnail_px)
        if profile.turntable_frames > 0:
            files["turntable.webp"] = thumbnail.turntable_webp(master, profile.turntable_frames, profile.turntable_px)
    with watch.stage("quality"):
        scores = quality.quality_scores(snapshot, levels[0], textured[0])
        scores |= {
            "isovalue_per_unit": isovalue.density,
            "largest_component_area_share": area_share,
            "triangles": float(len(levels[0].faces)),
            "height_m": prompt.target_height_m,
        }
    files["validation.json"] = sidecar.json_file(_validation(findings, khronos_reports))
    files["asset.json"] = sidecar.json_file(
        {
            "schema": ASSET_SCHEMA,
            "slug": name,
            "metadata": dict(metadata),
            **sidecar.shape(master),
            "files": {file: sidecar.described(file, data) for file, data in files.items()},
            "gates": validate.gate_results(findings),
            "findings": [vars(finding) for finding in findings],
            "scores": scores,
            "timings_s": watch.seconds,
            "software": sidecar.software(),
        }
    )
    return AssetBundle(slug=name, files=files, findings=tuple(findings), scores=scores, timings_s=dict(watch.seconds))


def _file_stem(metadata: Mapping[str, object]) -> str:
    """What the names of the files begin with; of a prompt that is not to be told it says nothing."""
    if "prompt" in metadata:
        return slug(str(metadata["prompt"]))
    return f"asset_{str(metadata['asset_key'])[:8]}"


def _hulls(levels: Sequence[Surface], profile: ExportProfile) -> list[Surface]:
    if profile.collision_hulls == 0:
        return []
    return collision.collision_hulls(
        levels[0], levels[-1], max_hulls=profile.collision_hulls, max_vertices=profile.collision_hull_vertices
    )


def _textured_levels(
    snapshot: FieldSnapshot,
    isovalue: float,
    levels: Sequence[Surface],
    profile: ExportProfile,
    watch: _Stopwatch,
) -> list[TexturedMesh]:
    """Each level unwrapped and baked on its own, in scene units."""
    with watch.stage("bake"):
        colors = texture.surface_colors(snapshot, isovalue)
    made = []
    for surface, texture_px in zip(levels, profile.texture_px, strict=True):
        with watch.stage("unwrap"):
            atlas = unwrap(surface, texture_px, profile.unwrap_limit_s)
        with watch.stage("bake"):
            made.append(texture.textured(surface, atlas, colors, snapshot.bound, texture_px))
    return made


def _level_files(
    levels: Sequence[TexturedMesh], place: _Placement, name: str, metadata: Mapping[str, object]
) -> dict[str, bytes]:
    return {
        f"{name}_LOD{level}.glb" if level else f"{name}.glb": gltf.glb(
            replace(textured, vertices=place(textured.vertices)),
            slug=name,
            level=level,
            metadata=metadata,
            copyright_text=_copyright(metadata),
        )
        for level, textured in enumerate(levels)
    }


def _usdz(
    glbs: Mapping[str, bytes], name: str, profile: ExportProfile, metadata: Mapping[str, object]
) -> tuple[dict[str, bytes], list[Finding]]:
    if not profile.usdz:
        return {}, [Finding("not_run", usd.GATE, usd.TOOL, "the profile orders no USDZ")]
    levels = {file: data for file, data in glbs.items() if file != f"{name}_collision.glb"}
    return usd.usdz(levels, slug=name, metadata=metadata)


def _web(master: bytes, name: str, profile: ExportProfile) -> tuple[dict[str, bytes], list[Finding]]:
    if not profile.web:
        return {}, [Finding("not_run", web_glb.GATE, web_glb.TOOL, "the profile orders no file for browsers")]
    return web_glb.web_glb(master, slug=name)


def _copyright(metadata: Mapping[str, object]) -> str:
    """One line for people; the same facts stand in `metadata` for programs."""
    words = [
        f"(c) {metadata['copyright_holder']}" if metadata.get("copyright_holder") else "",
        "AI-generated",
        f"license {metadata.get('asset_license', NO_ASSERTION)}",
        "for research only" if metadata.get("research_only") else "",
    ]
    return "; ".join(filter(None, words))


def _check(
    files: Mapping[str, bytes], masters: Sequence[str], name: str, profile: ExportProfile, height_m: float
) -> tuple[list[Finding], Mapping[str, Any]]:
    """Findings about all `files`; the `masters` among them are the levels and the hulls."""
    findings, reports = check_khronos(files)
    glbs = {file: files[file] for file in masters}
    hulls = f"{name}_collision.glb"
    limits = [
        validate.LevelLimits(max_triangles, texture_px, height_m)
        for max_triangles, texture_px in zip(profile.triangles, profile.texture_px, strict=True)
    ]
    findings += validate.check_levels({file: data for file, data in glbs.items() if file != hulls}, limits)
    if hulls in glbs:
        findings += validate.check_collision(glbs[hulls], profile.collision_hull_vertices)
    else:
        findings.append(Finding("not_run", "collision_hull", validate.TOOL, "the profile orders no hulls"))
    return findings, reports


def _refuse_blocked(findings: Sequence[Finding]) -> None:
    blocked = [finding for finding in findings if finding.severity == "block"]
    if blocked:
        gates = ", ".join(sorted({finding.gate for finding in blocked}))
        raise AssetInvalid(f"refused by {gates}: " + "; ".join(finding.message for finding in blocked[:5]))


def _validation(findings: Sequence[Finding], khronos_reports: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": VALIDATION_SCHEMA,
        "gates": validate.gate_results(findings),
        "findings": [vars(finding) for finding in findings],
        "khronos": dict(khronos_reports),
    }
