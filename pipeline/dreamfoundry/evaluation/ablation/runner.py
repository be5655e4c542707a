"""Run a suite: optimise the fields that are missing, in several processes, and write its pages.

Each finished field is a line of OUTPUT/results.jsonl and is not optimised again as long as prompt,
recipe, prior and code stay what they were.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dreamfoundry.asset.gates.scores import diversity
from dreamfoundry.evaluation.ablation.figures import VariantFigures, figures_of
from dreamfoundry.evaluation.ablation.report import format_figure, markdown, picture_sheet, plot
from dreamfoundry.evaluation.ablation.results import Group, current_rows, groups_to_do, requests_of
from dreamfoundry.evaluation.ablation.suites import Suite
from dreamfoundry.evaluation.ablation.worker import identity_for, run_group
from dreamfoundry.identity import recipe_digest
from dreamfoundry.settings.prior_identity import PriorIdentity

Rows = list[dict[str, Any]]
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Ablation:
    """Settings that all suites of one call share.

    `run` numbers the call: step times are compared within it only. `stop_at` is a moment of the
    monotonic clock after which nothing new is started. `command` is the line that repeats the call.
    """

    prior_path: str
    prior: PriorIdentity
    num_seeds: int
    num_slots: int
    num_processes: int
    output: Path
    run: int
    stop_at: float
    command: str
    docs: Path | None = None


def run_suite(suite: Suite, pool: Executor, ablation: Ablation, say: Say) -> Rows:
    """Optimise what is missing of a suite; all its current rows."""
    results = ablation.output / "results.jsonl"
    results.touch()

    # a classifier is trained here, before several processes need it
    priors = {
        variant.name: identity_for(ablation.prior_path, variant.prior, ablation.output) for variant in suite.variants
    }
    requests = {
        variant.name: requests_of(variant, suite.prompts, ablation.num_seeds, priors[variant.name])
        for variant in suite.variants
    }
    rows = current_rows(results.read_text().splitlines(), requests)
    groups = groups_to_do(suite, requests, rows, ablation.num_slots)

    started_at = time.monotonic()
    for count, (group, group_rows) in enumerate(_finished_groups(groups, pool, ablation), 1):
        digests = {
            "recipe_digest": recipe_digest(group.variant.recipe),
            "prior_digest": priors[group.variant.name].digest,
        }
        with results.open("a") as lines:
            for request, row in zip(group.requests, group_rows, strict=True):
                prompt = request.prompt
                head = {"run": ablation.run, "prompt": prompt.text, "seed": prompt.seed, "key": request.key}
                lines.write(json.dumps(head | row | digests) + "\n")
        left_s = (time.monotonic() - started_at) / count * (len(groups) - count)
        say(f"{suite.name}: {count} of {len(groups)} groups done, ETA {left_s / 60:.0f} min")
    return current_rows(results.read_text().splitlines(), requests)


def _finished_groups(groups: Sequence[Group], pool: Executor, ablation: Ablation) -> Iterator[tuple[Group, Rows]]:
    """Each group with its rows as it ends; once the time is up, none is started."""
    waiting, running = deque(groups), dict[Future[Rows], Group]()
    while True:
        while waiting and len(running) < ablation.num_processes and time.monotonic() < ablation.stop_at:
            group = waiting.popleft()
            running[pool.submit(run_group, group, ablation.prior_path, ablation.output)] = group
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def seed_diversity(rows: Sequence[dict[str, Any]], pictures: Path) -> dict[tuple[str, str], float]:
    """Difference between the seeds of a prompt, by variant and prompt, where there are at least two."""
    by_case = defaultdict(list)
    for row in rows:
        if row["picture"]:
            picture = np.asarray(Image.open(pictures / row["picture"]).convert("RGB"))
            by_case[row["variant"], row["prompt"]].append(picture)
    return {case: diversity(seeds) for case, seeds in by_case.items() if len(seeds) > 1}


def write_report(suite: Suite, rows: Rows, ablation: Ablation, say: Say) -> None:
    """Write page, plot, pictures and figures of a suite; the kind of each variant goes to `say`."""
    pictures = ablation.output / "pictures"
    figures = figures_of(rows, [variant.name for variant in suite.variants], seed_diversity(rows, pictures))
    setting = {
        "prior": f"{ablation.prior.prior_id}, weights `{ablation.prior.digest}`",
        "prompts": f"{', '.join(suite.prompts)}; seeds 0 to {ablation.num_seeds - 1}",
        "processes": f"{ablation.num_processes} of one thread each on {os.cpu_count()} cores",
        "in all variants": f"`{suite.changes}`" if suite.changes else "nothing changed",
    }

    own = ablation.output / suite.name
    for folder in filter(None, (own, ablation.docs)):
        folder.mkdir(parents=True, exist_ok=True)
        plot(suite, figures, folder / f"{suite.name}.png")
        picture_sheet(suite, rows, pictures, folder / f"{suite.name}_fields.png")
        page = markdown(suite, figures, setting, ablation.command)
        (folder / f"{suite.name}.md").write_text(page, encoding="utf-8")
    variants = list(map(dataclasses.asdict, figures))
    summary = {"suite": suite.name, "prior_digest": ablation.prior.digest, "variants": variants}
    (own / "figures.json").write_text(json.dumps(summary, indent=2) + "\n")

    for row in figures:
        say(_line(row))
    say(f"{suite.name}: {len(rows)} fields -> {own / suite.name}.md")


def _line(row: VariantFigures) -> str:
    kind, f_score = format_figure(row.kind, "{:.0%}"), format_figure(row.f_score_5_percent, "{:.2f}")
    return f"  {row.variant}: kind {kind}, F-score {f_score} at 5 %, {1000 * row.step_s:.0f} ms per step and asset"
