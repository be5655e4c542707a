"""Stages 4 to 7 in their order: a FieldSnapshot becomes the files of an asset.

This is the only place that knows the order. Everything is numpy on one core; the snapshot is all
that is read, so an export can be repeated anywhere, with another budget, at any time.
"""

from __future__ import annotations

import hashlib
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from dreamfoundry.asset.files import c2pa, engine_bundle, gltf_writer, sidecar, usdz, web_glb, xmp
from dreamfoundry.asset.gates import browser
from dreamfoundry.asset.gates.findings import gate_results, not_run
from dreamfoundry.asset.gates.hulls import check_collision
from dreamfoundry.asset.gates.khronos import check_khronos
from dreamfoundry.asset.gates.levels import LevelLimits, check_levels
from dreamfoundry.asset.gates.likeness import check_likeness
from dreamfoundry.asset.gates.metadata import check_metadata
from dreamfoundry.asset.gates.pictures import check_pictures
from dreamfoundry.asset.gates.scores import level_scores, quality_scores
from dreamfoundry.asset.maps import texture
from dreamfoundry.asset.maps.bake import DenseSurface
from dreamfoundry.asset.maps.unwrap import unwrap
from dreamfoundry.asset.pictures import thumbnail, video
from dreamfoundry.asset.pictures.renderer import RENDERER
from dreamfoundry.asset.surface import collision, decimate, isosurface
from dreamfoundry.errors import AssetInvalid, ExportTimeout, SurfaceFailed
from dreamfoundry.identity import EXPORT_VERSION, GENERATOR, OPTIMIZATION_VERSION, slug
from dreamfoundry.records import (
    AssetBundle,
    ColoredMesh,
    FieldSnapshot,
    Finding,
    LoraIdentity,
    PriorIdentity,
    Prompt,
    Surface,
    TexturedMesh,
)
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import DEFAULT_POLICY, NO_ASSERTION, MetadataPolicy

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
            "license": prior.license,
            **({"loras": [_told(lora) for lora in prior.loras]} if prior.loras else {}),
        },
        "asset_license": policy.asset_license,
        "copyright_holder": policy.copyright_holder,
        "rights_url": policy.rights_url,
        "research_only": prior.research_only,
        "export_profile": profile.name,
        "target_height_m": prompt.target_height_m,
        "units": "m",
    }


def _told(lora: LoraIdentity) -> dict[str, Any]:
    return {"id": lora.lora_id, "digest": lora.digest, "license": lora.license, "weight": lora.weight}


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
    holds a time (`asset.files.c2pa`), and timings and versions stand in `asset.json` alone. Raises
    PromptFailure: EmptyField, FullField, SurfaceFailed, ExportTimeout, or AssetInvalid with the names
    of the gates that refused.
    """
    name = _file_stem(metadata)
    watch = _Stopwatch(on_stage)
    with watch.stage("mesh"):
        isovalue = isosurface.choose_isovalue(snapshot)
        surface, area_share = isosurface.extract_surface(snapshot, isovalue.density)
    with watch.stage("lod"):
        levels = decimate.levels(surface, profile.triangles)
    with watch.stage("collision"):
        hulls = _hulls(levels, profile)
    with watch.stage("bake"):
        colors = texture.surface_colors(snapshot, isovalue.density)
    delivered, findings = _delivered_levels(surface, levels, colors, snapshot.bound, profile, watch)
    place = _Placement.of(levels[0], prompt.target_height_m)
    with watch.stage("gltf"):
        whole = [decimate.decimate(surface, len(surface.faces))] if profile.dense else []
        dense = [texture.colored(part, colors, snapshot.bound) for part in whole]
        masters = _masters(delivered, hulls, dense, place, name, metadata)
    files = masters.files()
    if profile.engine_bundles:
        files |= engine_bundle.engine_bundles(masters.first, masters.hulls[f"{name}_collision.glb"], slug=name)
    with watch.stage("web"):
        web_files, web_findings = _web(masters.first, name, profile)
        files |= web_files
    with watch.stage("validate"):
        gate_findings, uv_scores, khronos_reports = _check(files, masters, profile, prompt.target_height_m)
        findings += gate_findings + web_findings
        findings += _browsed(masters.levels, profile)
    with watch.stage("usd"):
        stage_files, stage_findings = _usdz(masters.levels, name, profile, metadata)
        files |= stage_files
        findings += stage_findings
    with watch.stage("sign"):
        credential, credential_findings = c2pa.signed(
            f"{name}.glb", masters.first, str(metadata["digital_source_type"])
        )
        files |= credential
        findings += credential_findings
    _refuse_blocked(findings)
    with watch.stage("thumbnail"):
        pictures, picture_findings = _pictures(masters.first, profile)
        files |= pictures
        findings += picture_findings
    _refuse_blocked(findings)
    with watch.stage("quality"):
        scores = quality_scores(snapshot, levels[0], delivered[0])
        scores |= level_scores(snapshot, levels, surface)
        findings += check_likeness(scores)
        scores |= uv_scores
        if hulls:
            scores |= {
                "num_collision_hulls": float(len(hulls)),
                "collision_volume_ratio": collision.volume_ratio(hulls, levels[0]),
            }
        scores |= {
            f"detail_found_share_LOD{number}": level.detail.found_share
            for number, level in enumerate(delivered)
            if isinstance(level, TexturedMesh) and level.detail is not None
        }
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
            **sidecar.shape(masters.first),
            "files": {file: sidecar.described(file, data) for file, data in files.items()},
            "gates": gate_results(findings),
            "findings": [vars(finding) for finding in findings],
            "scores": scores,
            "timings_s": watch.seconds,
            "renderer": RENDERER,
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


def _delivered_levels(
    surface: Surface,
    levels: Sequence[Surface],
    colors: UInt8[np.ndarray, "R R R 3"],
    bound: float,
    profile: ExportProfile,
    watch: _Stopwatch,
) -> tuple[list[TexturedMesh | ColoredMesh], list[Finding]]:
    """Each level unwrapped and baked on its own, in scene units, and what of that did not work.

    A level that cannot be unwrapped has its colours at the vertices.
    """
    with watch.stage("bake"):
        dense = DenseSurface.of(surface) if profile.detail_maps else None
    made: list[TexturedMesh | ColoredMesh] = []
    findings = []
    for number, (level, texture_px) in enumerate(zip(levels, profile.texture_px, strict=True)):
        atlas = None
        with watch.stage("unwrap"):
            try:
                atlas = unwrap(level, texture_px, profile.unwrap_limit_s)
            except (ExportTimeout, SurfaceFailed) as failure:
                findings.append(Finding("warn", "unwrapped", "xatlas", f"LOD{number} has vertex colours: {failure}"))
        with watch.stage("bake"):
            if atlas is None:
                made.append(texture.colored(level, colors, bound))
            else:
                made.append(texture.textured(level, atlas, colors, bound, texture_px, dense))
    return made, findings


@dataclass(frozen=True)
class _Masters:
    """The GLBs that all else is made from, by delivered name."""

    levels: Mapping[str, bytes]
    hulls: Mapping[str, bytes]
    dense: Mapping[str, bytes]

    @property
    def first(self) -> bytes:
        return next(iter(self.levels.values()))

    def files(self) -> dict[str, bytes]:
        return {**self.levels, **self.hulls, **self.dense}


def _masters(
    levels: Sequence[TexturedMesh | ColoredMesh],
    hulls: Sequence[Surface],
    dense: Sequence[ColoredMesh],
    place: _Placement,
    name: str,
    metadata: Mapping[str, object],
) -> _Masters:
    """At most one file of hulls and one of the dense surface; every file with its XMP."""
    packet, note = xmp.packet(metadata, _copyright(metadata)), _copyright(metadata)

    def level_file(level: TexturedMesh | ColoredMesh, number: int | None) -> bytes:
        placed = replace(level, vertices=place(level.vertices))
        glb = gltf_writer.write_glb(placed, slug=name, level=number, metadata=metadata, copyright_text=note)
        return xmp.stamped(glb, packet)

    def hull_file() -> bytes:
        placed = [replace(hull, vertices=place(hull.vertices)) for hull in hulls]
        return xmp.stamped(
            gltf_writer.write_collision_glb(placed, slug=name, metadata=metadata, copyright_text=note), packet
        )

    return _Masters(
        {f"{name}_LOD{n}.glb" if n else f"{name}.glb": level_file(level, n) for n, level in enumerate(levels)},
        {f"{name}_collision.glb": hull_file()} if hulls else {},
        {f"{name}_dense.glb": level_file(surface, None) for surface in dense},
    )


def _pictures(master: bytes, profile: ExportProfile) -> tuple[dict[str, bytes], list[Finding]]:
    """Pictures of the delivered first level, and what is to be said of those that could not be made."""
    picture = thumbnail.thumbnail(master, profile.thumbnail_px)
    files = {"thumbnail.png": thumbnail.png(picture), f"thumb_{profile.thumbnail_px}.webp": thumbnail.webp([picture])}
    if profile.turntable_frames == 0:
        return files, [*check_pictures(picture[None]), video.not_run("no turntable in this profile")]
    frames = thumbnail.turntable(master, profile.turntable_frames, profile.turntable_px)
    files["turntable.webp"] = thumbnail.webp(frames)
    findings = check_pictures(frames)
    if not profile.video:
        return files, [*findings, video.not_run("not in this profile")]
    film, film_findings = video.mp4(thumbnail.on_ground(frames), thumbnail.FRAME_MS)
    return (files | {"turntable.mp4": film} if film else files), findings + film_findings


def _usdz(
    levels: Mapping[str, bytes], name: str, profile: ExportProfile, metadata: Mapping[str, object]
) -> tuple[dict[str, bytes], list[Finding]]:
    if not profile.usdz:
        return {}, [Finding("not_run", usdz.GATE, usdz.TOOL, "the profile orders no USDZ")]
    return usdz.usdz(levels, slug=name, metadata=metadata)


def _browsed(levels: Mapping[str, bytes], profile: ExportProfile) -> list[Finding]:
    return browser.check_browser(levels)[0] if profile.browser else [browser.not_run("not in this profile")]


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
    files: Mapping[str, bytes], masters: _Masters, profile: ExportProfile, height_m: float
) -> tuple[list[Finding], dict[str, float], Mapping[str, Any]]:
    """Findings about all `files`, how the levels use their textures, and the reports of Khronos.

    The `masters` among the files have a budget and a place.
    """
    findings, reports = check_khronos(files)
    limits = [
        LevelLimits(max_triangles, texture_px, height_m)
        for max_triangles, texture_px in zip(profile.triangles, profile.texture_px, strict=True)
    ]
    level_findings, uv_scores = check_levels(masters.levels, limits)
    no_budget = replace(limits[0], max_triangles=sys.maxsize)
    dense_findings, _ = check_levels(masters.dense, [no_budget] * len(masters.dense))
    findings += level_findings + dense_findings
    for hulls in masters.hulls.values():
        findings += check_collision(hulls, profile.collision_hull_vertices)
    if not masters.hulls:
        findings.append(not_run("collision_hull", "the profile orders no hulls"))
    findings += check_metadata({name: data for name, data in files.items() if name.endswith(".glb")})
    return findings, uv_scores, reports


def _refuse_blocked(findings: Sequence[Finding]) -> None:
    blocked = [finding for finding in findings if finding.severity == "block"]
    if blocked:
        gates = ", ".join(sorted({finding.gate for finding in blocked}))
        raise AssetInvalid(f"refused by {gates}: " + "; ".join(finding.message for finding in blocked[:5]))


def _validation(findings: Sequence[Finding], khronos_reports: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": VALIDATION_SCHEMA,
        "gates": gate_results(findings),
        "findings": [vars(finding) for finding in findings],
        "khronos": dict(khronos_reports),
    }
