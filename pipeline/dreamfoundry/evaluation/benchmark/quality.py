"""Compare the quality of the fast loop with that of the benchmark's baseline, on toys.

Each toy is optimised twice with the same recipe, prior, seed and steps: by the main loop, and by
the loop of the baseline with its 512 samples on a ray. Both surfaces are compared with the true
toy. Our field takes the place of the one that the baseline reads by grid_sample: they are equal up to
rounding (tests/unit/evaluation/benchmark/test_baseline.py), and here no time is measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.distill.loop import optimize_all
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.errors import PromptFailure
from dreamfoundry.evaluation.ablation.field_row import field_row, row_without_surface
from dreamfoundry.evaluation.benchmark.baseline import OnePrompt, baseline_recipe
from dreamfoundry.evaluation.statistics import mean_of
from dreamfoundry.evaluation.toys import few_prompts
from dreamfoundry.identity import recipe_digest
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.snapshot import take_snapshot
from dreamfoundry.records import FieldSnapshot, Prompt
from dreamfoundry.settings.loading import resolve_recipe, with_overrides
from dreamfoundry.settings.recipe import Recipe

Distill = Callable[[ScorePrior, Recipe, Assignment], FieldSnapshot]
"""One loop: from an assignment to its field. Raises PromptFailure if it leaves none."""

Rows = Mapping[tuple[str, str], Mapping[str, Any]]
"""Rows by loop and prompt."""


def distill_by_main_loop(prior: ScorePrior, recipe: Recipe, assignment: Assignment) -> FieldSnapshot:
    """The field of the product's own loop with one slot. Raises PromptFailure if it leaves none."""
    (field,) = optimize_all(prior, recipe, [assignment], num_slots=1)
    if field.failure is not None:
        raise field.failure
    assert field.snapshot is not None
    return field.snapshot


def distill_by_baseline(prior: ScorePrior, recipe: Recipe, assignment: Assignment) -> FieldSnapshot:
    """The field of the benchmark's baseline."""
    fields = RadianceFields(recipe.field, 1)
    alone = OnePrompt(prior, recipe, assignment, fields)
    for _ in range(recipe.optimize.num_steps):
        alone.step()
    return take_snapshot(fields, 0, recipe.render.at(1.0), recipe.snapshot, recipe.cameras)


LOOPS: Mapping[str, Distill] = {"main loop": distill_by_main_loop, "baseline": distill_by_baseline}


def compare_quality(output: Path, overrides: Sequence[str], num_prompts: int) -> Iterator[str]:
    """Distil and measure what is missing, line by line, then the comparison.

    Every finished field is a line of OUTPUT/quality.jsonl and is not distilled again.
    """
    # restarts would hide what a first candidate is worth, and the baseline has none
    recipe = with_overrides(resolve_recipe("toybox", overrides), {"looks.at": [], "looks.max_restarts": 0})
    recipes = {"main loop": recipe, "baseline": baseline_recipe(recipe)}
    prior = load_prior(recipe.prior)

    path = output / "quality.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    digests = {loop: recipe_digest(own) for loop, own in recipes.items()}
    stored = [json.loads(line) for line in path.read_text().splitlines()]
    rows = {(row["loop"], row["prompt"]): row for row in stored if row["recipe"] == digests[row["loop"]]}

    texts = few_prompts()[:: len(few_prompts()) // num_prompts][:num_prompts]
    for text in texts:
        for loop, own in recipes.items():
            if (loop, text) not in rows:
                rows[loop, text] = measure_field(loop, prior, own, text)
                with path.open("a") as lines:
                    lines.write(json.dumps(rows[loop, text]) + "\n")
            row = rows[loop, text]
            yield (
                f"{text}, {loop}: {'right' if row['kind_correct'] else row['nearest_kind']}, F-score "
                f"{row['f_score_5_percent']:.3f} ({row['f_score_2_percent']:.3f}) in {row['optimize_s']:.0f} s"
            )
    yield from summary_lines(rows, texts)


def measure_field(loop: str, prior: ScorePrior, recipe: Recipe, text: str) -> dict[str, Any]:
    """Distil one field and compare it with the true toy. Both loops draw alike: the key is that of the ablations."""
    assignment = Assignment(Prompt(text, text), f"ablation/{text}/0")
    start = time.perf_counter()
    try:
        snapshot = LOOPS[loop](prior, recipe, assignment)
        optimize_s = time.perf_counter() - start
        row = {"failure": None, **field_row(snapshot, text)}
    except PromptFailure as failure:
        optimize_s = time.perf_counter() - start
        row = {"failure": str(failure), **row_without_surface(failure.failure_class)}
    return {"loop": loop, "prompt": text, "recipe": recipe_digest(recipe), "optimize_s": optimize_s, **row}


def summary_lines(rows: Rows, texts: Sequence[str]) -> Iterator[str]:
    """Means of both loops and their differences with intervals, as sentences."""
    for loop in LOOPS:
        own = [rows[loop, text] for text in texts]
        num_right = sum(row["kind_correct"] for row in own)
        coarse, fine, seconds = (
            mean(row[name] for row in own) for name in ("f_score_5_percent", "f_score_2_percent", "optimize_s")
        )
        yield (
            f"{loop}: kind right {num_right} of {len(own)}, F-score {coarse:.3f} at 5 % of the diagonal and "
            f"{fine:.3f} at 2 %, {seconds:.0f} s a field"
        )

    for name, title in (("f_score_5_percent", "F-score at 5 %"), ("f_score_2_percent", "F-score at 2 %")):
        gain = mean_of([rows["main loop", text][name] - rows["baseline", text][name] for text in texts], texts)
        assert gain is not None
        interval = "({:+.3f} to {:+.3f})".format(*gain.interval_95) if gain.interval_95 else "(one toy)"
        yield f"main loop minus baseline, {title}: {gain.value:+.3f} {interval}"
