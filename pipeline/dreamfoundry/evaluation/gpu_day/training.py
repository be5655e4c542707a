"""The toybox prior, trained on the device until the time is over, with its weights exported on the way."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.weights import prior_folder
from dreamfoundry.evaluation.gpu_day.parts import write_parts
from dreamfoundry.evaluation.gpu_day.task import Emit, Figures, Task
from dreamfoundry.settings.loading import bundled_recipe
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.recipe import Recipe
from dreamfoundry.toybox.caption_sensitivity import caption_errors
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import TracedViews, read_views, trace_views
from dreamfoundry.toybox.training.plots import loss_plot, sample_grid
from dreamfoundry.toybox.training.trainer import Trainer

REPORT_S = 40.0
"""Kept for the last export, samples and the table of errors; of a short training at most a third."""

EXPORT_EVERY_S = 60.0

NEVER_S = 1e9

TINY: dict[str, Any] = {
    "picture_px": 8,
    "batch_size": 4,
    "views_per_kind": 2,
    "block_out_channels": (16, 32),
    "text_width": 24,
}


def training(task: Task, emit: Emit) -> None:
    """Train on from the bundled weights, export at intervals and at the end, and compare with where it began."""
    recipe = bundled_recipe("toybox")
    config = TrainingConfig(
        **TINY if task.is_tiny else {"batch_size": 64},
        checkpoint_every_s=NEVER_S,
        noisiest_share=0.25,
        bf16=task.is_cuda,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        views = _views(task, config, recipe, folder)
        emit("views", {"count": len(views.kinds), "left_s": round(task.left_s(), 1)})
        start_from = None if task.is_tiny else prior_folder(recipe.prior)
        trainer = Trainer(config, recipe.shading, views, folder, start_from, task.device)
        _train(task, trainer, folder, emit)
        emit("exported", _export(task, trainer, folder))
        _compare(task, trainer, recipe, folder / "weights", emit)


def _views(task: Task, config: TrainingConfig, recipe: Recipe, folder: Path) -> TracedViews:
    if task.views:
        return read_views(Path(task.views), recipe.wording)
    return trace_views(config, recipe.cameras, recipe.wording, folder)


def _train(task: Task, trainer: Trainer, folder: Path, emit: Emit) -> None:
    """Train until the time limit, with a case "progress" that is always the last report."""
    # not before: to read the views and load the models takes its time too, and the report needs the rest
    left_s = task.left_s()
    limit_s = max(1.0, left_s - min(REPORT_S, left_s / 3))
    trainer.config = replace(trainer.config, time_limit_s=limit_s)
    emit("time limit", {"left_s": round(left_s, 1), "limit_s": round(limit_s, 1)})
    exported_at = time.monotonic()

    def report(step: int, loss: float, steps_per_s: float) -> None:
        nonlocal exported_at
        emit("progress", {"step": step, "loss": loss, "steps_per_s": steps_per_s, "trained_s": trainer.trained_s})
        if time.monotonic() - exported_at > EXPORT_EVERY_S:
            emit("exported", _export(task, trainer, folder))
            exported_at = time.monotonic()

    trainer.run(report)


def _export(task: Task, trainer: Trainer, folder: Path) -> Figures:
    """Weights in the folder of the files that come back."""
    trainer.export(folder / "weights")
    parts = write_parts(folder / "weights", task.folder, f"weights-{trainer.step}")
    return {"step": trainer.step, "files": {part.name: part.stat().st_size for part in parts}}


def _compare(task: Task, trainer: Trainer, recipe: Recipe, weights: Path, emit: Emit) -> None:
    """Denoising errors of these weights and of the bundled ones, on the device; then samples and losses as pictures."""
    these = load_prior(PriorConfig(path=str(weights), license="Apache-2.0"), device=task.device)
    priors = (
        {"these": these} if task.is_tiny else {"these": these, "bundled": load_prior(recipe.prior, device=task.device)}
    )
    for name, prior in priors.items():
        errors = caption_errors(prior, trainer.views, trainer.config, recipe.shading)
        emit(f"denoising error of {name}", {str(fraction): error for fraction, error in errors.items()})

    loss_plot(trainer.losses).save(task.folder / "loss.png")
    sample_grid(these, num_steps=1 if task.is_tiny else 30).save(task.folder / "samples.png")
    emit("pictures", {"files": ["loss.png", "samples.png"]})
