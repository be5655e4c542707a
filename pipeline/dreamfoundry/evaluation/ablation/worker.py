"""Optimise the fields of one group in a process of its own, and measure them."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from dreamfoundry.asset.gates.scores import views_on_white
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.weights import prior_identity
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.slot import Assignment, OptimizedField
from dreamfoundry.errors import PromptFailure
from dreamfoundry.evaluation.ablation.field_row import field_row, row_without_surface
from dreamfoundry.evaluation.ablation.results import FieldRequest, Group
from dreamfoundry.evaluation.classifier import ClassifierGuidedPrior, cached_classifier
from dreamfoundry.records import FieldSnapshot
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.loading import bundled_recipe
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.prior_identity import PriorIdentity

NUM_VIEWS = 4
"""Reference views in the picture of a field."""


def run_group(group: Group, prior_path: str, output: Path) -> list[dict[str, Any]]:
    """Optimise the prompts of a group side by side; a row for each."""
    prior = prior_for(prior_path, group.variant.prior, output)
    batch = SlotBatch(prior, group.variant.recipe, len(group.requests))
    for request in group.requests:
        # draws follow prompt and seed alone, or variants would differ by more than their recipes
        batch.admit(Assignment(request.prompt, f"ablation/{request.prompt.text}/{request.prompt.seed}"))

    step_times_s: list[float] = []
    fields: list[OptimizedField] = []
    while batch.num_live:
        start = time.perf_counter()
        batch.step()
        step_times_s.append(time.perf_counter() - start)
        fields += batch.harvest()

    step_s = median(step_times_s) / len(group.requests)
    by_prompt = {field.assignment.prompt.prompt_id: field for field in fields}
    return [
        measure_field(request, by_prompt[request.prompt.prompt_id], output / "pictures") | {"step_s": step_s}
        for request in group.requests
    ]


def measure_field(request: FieldRequest, field: OptimizedField, pictures: Path) -> dict[str, Any]:
    """The row of one field; its views go into a picture."""
    row: dict[str, Any] = {"num_steps": field.history.steps_spent, "failure": None, "picture": None}
    row["attempts"] = to_plain(field.history.candidates)
    if field.snapshot is not None:
        row["picture"] = f"{request.key[:16]}.png"
        save_views(field.snapshot, pictures / row["picture"])

    try:
        if field.failure is not None:
            raise field.failure
        assert field.snapshot is not None
        return row | field_row(field.snapshot, request.prompt.text)
    except PromptFailure as failure:
        return row | {"failure": str(failure)} | row_without_surface(failure.failure_class)


def save_views(snapshot: FieldSnapshot, path: Path) -> None:
    """Write reference views from around, side by side over white."""
    every = max(1, len(snapshot.view_rgb) // NUM_VIEWS)
    strip = views_on_white(snapshot)[::every][:NUM_VIEWS]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(strip, axis=1).astype(np.uint8)).save(path)


@functools.cache
def prior_for(path: str, kind: str, output: Path) -> ScorePrior:
    """The prior of a variant, loaded once per process; a classifier is trained once, into `output`."""
    prior = load_prior(prior_config(path))
    if kind == "classifier":
        return ClassifierGuidedPrior(prior, cached_classifier(output / "classifier", bundled_recipe("toybox")))
    return prior


def identity_for(path: str, kind: str, output: Path) -> PriorIdentity:
    """Identity of the prior of a variant; only a classifier has to be loaded for it."""
    if kind == "classifier":
        return prior_for(path, kind, output).identity
    return prior_identity(prior_config(path))


def prior_config(path: str) -> PriorConfig:
    """The bundled prior for "toybox", else the folder `path` of weights."""
    return PriorConfig() if path == "toybox" else PriorConfig(path=path, license="Apache-2.0")
