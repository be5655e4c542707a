r"""Is what the fast loop makes as good as what the baseline of the benchmark makes?

    python jobs/benchmark_quality.py                       8 toys with one seed: 20 minutes to an hour
    python jobs/benchmark_quality.py --prompts 2 --set optimize.num_steps=100

Each toy is optimised twice with the same recipe, prior, seed and steps: by the main loop, and by
the loop of the baseline with its 512 samples on a ray. Both surfaces are compared with the true
toy. Our field stands in for the one that the baseline reads by grid_sample: they are the same up to
rounding (tests/unit/evaluation/benchmark/test_baseline.py), and here no time is measured. Every
finished field is a line of OUTPUT/quality.jsonl and is not made again, so a run can be stopped and
continued.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.distill.loop import optimize_all
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.errors import PromptFailure
from dreamfoundry.evaluation.ablation.judging import judge, no_surface
from dreamfoundry.evaluation.benchmark.baseline import OnePrompt, baseline_recipe
from dreamfoundry.evaluation.statistics import mean_of
from dreamfoundry.evaluation.toys import few_prompts
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT, restart_with
from dreamfoundry.identity import recipe_digest
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.snapshot import take_snapshot
from dreamfoundry.records import FieldSnapshot, Prompt
from dreamfoundry.settings.loading import resolve_recipe, with_overrides
from dreamfoundry.settings.recipe import Recipe

Make = Callable[[ScorePrior, Recipe, Assignment], FieldSnapshot]


def of_the_main_loop(prior: ScorePrior, recipe: Recipe, assignment: Assignment) -> FieldSnapshot:
    """Raises PromptFailure if nothing came of it."""
    (made,) = optimize_all(prior, recipe, [assignment], num_slots=1)
    if made.failure is not None:
        raise made.failure
    assert made.snapshot is not None
    return made.snapshot


def of_the_baseline(prior: ScorePrior, recipe: Recipe, assignment: Assignment) -> FieldSnapshot:
    fields = RadianceFields(recipe.field, 1)
    alone = OnePrompt(prior, recipe, assignment, fields)
    for _ in range(recipe.optimize.num_steps):
        alone.step()
    return take_snapshot(fields, 0, recipe.render.at(1.0), recipe.snapshot, recipe.cameras)


LOOPS: dict[str, Make] = {"main loop": of_the_main_loop, "baseline": of_the_baseline}


def row_of(loop: str, prior: ScorePrior, recipe: Recipe, text: str) -> dict[str, Any]:
    """One field, judged against the true toy. Both loops draw alike: the key is that of the ablations."""
    assignment = Assignment(Prompt(text, text), f"ablation/{text}/0")
    start = time.perf_counter()
    try:
        snapshot = LOOPS[loop](prior, recipe, assignment)
        optimize_s = time.perf_counter() - start
        found = {"failure": None, **judge(snapshot, text)}
    except PromptFailure as failure:
        optimize_s = time.perf_counter() - start
        found = {"failure": str(failure), **no_surface(failure.failure_class)}
    return {"loop": loop, "prompt": text, "recipe": recipe_digest(recipe), "optimize_s": optimize_s, **found}


def run(arguments: argparse.Namespace) -> int:
    # Restarts would hide what a first candidate is worth, and the baseline has none.
    recipe = with_overrides(resolve_recipe("toybox", arguments.set), {"looks.at": [], "looks.max_restarts": 0})
    recipes = {"main loop": recipe, "baseline": baseline_recipe(recipe)}
    prior = load_prior(recipe.prior)
    path = arguments.output / "quality.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    digests = {loop: recipe_digest(own) for loop, own in recipes.items()}
    known = [json.loads(line) for line in path.read_text().splitlines()]
    rows = {(row["loop"], row["prompt"]): row for row in known if row["recipe"] == digests[row["loop"]]}
    texts = few_prompts()[:: len(few_prompts()) // arguments.prompts][: arguments.prompts]
    for text in texts:
        for loop, own in recipes.items():
            if (loop, text) not in rows:
                rows[loop, text] = row_of(loop, prior, own, text)
                with path.open("a") as lines:
                    lines.write(json.dumps(rows[loop, text]) + "\n")
            row = rows[loop, text]
            print(
                f"{text}, {loop}: {'right' if row['kind_correct'] else row['nearest_kind']}, F-score "
                f"{row['f_score_5_percent']:.3f} ({row['f_score_2_percent']:.3f}) in {row['optimize_s']:.0f} s",
                flush=True,
            )
    for said in compared(rows, texts):
        print(said)
    return 0


def compared(rows: Mapping[tuple[str, str], Mapping[str, Any]], texts: Sequence[str]) -> Iterator[str]:
    """What the table of (loop, prompt) says, in lines."""
    for loop in LOOPS:
        own = [rows[loop, text] for text in texts]
        right = sum(row["kind_correct"] for row in own)
        coarse, fine, seconds = (
            mean(row[name] for row in own) for name in ("f_score_5_percent", "f_score_2_percent", "optimize_s")
        )
        yield (
            f"{loop}: kind right {right} of {len(own)}, F-score {coarse:.3f} at 5 % of the diagonal and "
            f"{fine:.3f} at 2 %, {seconds:.0f} s a field"
        )
    for name, title in (("f_score_5_percent", "F-score at 5 %"), ("f_score_2_percent", "F-score at 2 %")):
        gain = mean_of([rows["main loop", text][name] - rows["baseline", text][name] for text in texts], texts)
        assert gain is not None
        interval = "({:+.3f} to {:+.3f})".format(*gain.interval_95) if gain.interval_95 else "(one toy)"
        yield f"main loop minus baseline, {title}: {gain.value:+.3f} {interval}"


def main() -> int:
    parser = CommandLine(__doc__)
    parser.add_argument("--prompts", type=int, default=8, help="how many toys (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the recipe")
    parser.add_argument("--threads", type=int, help="of this process (default: all cores)")
    parser.add_argument("--output", type=Path, default=Path("out/benchmark"), help="default: %(default)s")
    arguments = parser.parse_args()
    restart_with(CPU_ENVIRONMENT)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return exit_code_of(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
