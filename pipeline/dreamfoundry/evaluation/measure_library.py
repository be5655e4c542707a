"""Measure the assets of a library against the true toys: outcomes, delivered surfaces, diversity and CLIP.

Dimension key:  N points of a surface
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import trimesh

from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.asset.gates.scores import diversity, views_on_white
from dreamfoundry.asset.pictures.thumbnail import judged_views
from dreamfoundry.evaluation.clip_score import ClipScorer, own_text_first
from dreamfoundry.evaluation.metrics import NUM_POINTS
from dreamfoundry.evaluation.toys import DeliveredSurface, Row, asset_row, summary
from dreamfoundry.library.library import Library
from dreamfoundry.records import FieldSnapshot, Outcome

CLIP_VIEWS = 4
"""Pictures of each asset that CLIP ranks, evenly around it."""


@dataclass(frozen=True)
class Evaluation:
    """Rows of all prompts and seeds with the outcomes behind them; an outcome is None where there is none yet."""

    rows: Sequence[Row]
    outcomes: Sequence[Outcome | None]
    figures: Mapping[str, Any]


def evaluate_library(library: Library, prompts: Sequence[str], num_seeds: int, clip: ClipScorer | None) -> Evaluation:
    """Measure every prompt and seed; what was not published counts as wrong, or as 0."""
    newest = newest_outcomes(library)
    requests = [(text, seed) for text in prompts for seed in range(num_seeds)]
    outcomes = [newest.get((text, str(seed))) for text, seed in requests]
    glbs = [delivered_glb(library, outcome) for outcome in outcomes]

    rows = [
        asset_row(text, seed, outcome, None if glb is None else delivered_surface(glb))
        for (text, seed), outcome, glb in zip(requests, outcomes, glbs, strict=True)
    ]
    if clip:
        rank_by_clip(clip, rows, glbs)
    return Evaluation(rows, outcomes, summary(rows, seed_diversity(library, rows, outcomes)))


def newest_outcomes(library: Library) -> dict[tuple[str, str], Outcome]:
    """The newest outcome of each prompt and seed; the seed is the end of the prompt id, "…-s0"."""
    by_age = sorted(library.outcomes(), key=lambda outcome: str(outcome.provenance.get("created_at", "")))
    return {(outcome.prompt, outcome.prompt_id.rpartition("-s")[2]): outcome for outcome in by_age}


def prior_title(outcome: Outcome) -> str:
    """Name of an asset's prior and digest of its weights."""
    prior: Any = outcome.provenance.get("prior") or {}
    return f"{prior.get('prior_id', 'unknown')}, weights `{prior.get('digest', '')}`"


def delivered_glb(library: Library, outcome: Outcome | None) -> bytes | None:
    """The first level of an asset, None if it was not published."""
    if outcome is None or outcome.state != "published":
        return None
    return library.get_blob(outcome.files[f"{outcome.slug}.glb"])


def delivered_surface(glb: bytes) -> DeliveredSurface:
    """Points on the delivered surface and the colours of its texture there."""
    mesh: Any = trimesh.load(io.BytesIO(glb), file_type="glb", force="mesh")
    points, faces = trimesh.sample.sample_surface(mesh, NUM_POINTS, seed=0)
    barycentric = trimesh.triangles.points_to_barycentric(mesh.triangles[faces], points)
    uv = (mesh.visual.uv[mesh.faces[faces]] * barycentric[..., None]).sum(axis=1)

    # trimesh turns V upside down on import
    colors = mesh.visual.material.baseColorTexture.convert("RGB")
    width, height = colors.size
    x = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    y = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return DeliveredSurface(np.asarray(points), np.asarray(colors)[y, x] / 255.0)


def seed_diversity(library: Library, rows: Sequence[Row], outcomes: Sequence[Outcome | None]) -> dict[str, float]:
    """Difference between the published seeds of each prompt, where there are at least two."""
    by_prompt = defaultdict(list)
    for row, outcome in zip(rows, outcomes, strict=True):
        if row["published"] and outcome is not None and outcome.snapshot is not None:
            by_prompt[row["prompt"]].append(outcome.snapshot)
    return {
        text: diversity([views_on_white(FieldSnapshot.from_bytes(library.get_blob(ref))) for ref in snapshots])
        for text, snapshots in by_prompt.items()
        if len(snapshots) > 1
    }


def rank_by_clip(clip: ClipScorer, rows: Sequence[Row], glbs: Sequence[bytes | None]) -> None:
    """Write into each row the share of its views whose own prompt ranks first among all prompts."""
    texts = list(dict.fromkeys(row["prompt"] for row in rows))
    published = [(row, glb) for row, glb in zip(rows, glbs, strict=True) if glb is not None]
    own = torch.tensor([texts.index(row["prompt"]) for row, _ in published]).repeat_interleave(CLIP_VIEWS)

    modes: Mapping[str, Any] = {"r_precision_color": "albedo", "r_precision_geometry": "textureless"}
    for name, mode in modes.items():
        for row in rows:
            row[name] = 0.0
        if not published:
            continue
        views = np.concatenate([judged_views(read_glb(glb), mode, CLIP_VIEWS, clip.picture_px) for _, glb in published])
        pictures = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255.0
        ranks_first = own_text_first(clip.similarities(pictures, texts), own).float()
        for (row, _), share in zip(published, ranks_first.view(-1, CLIP_VIEWS).mean(dim=1).tolist(), strict=True):
            row[name] = share
