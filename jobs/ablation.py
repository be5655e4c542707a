"""Compare variants of a recipe on toys, suite by suite: fields and surfaces only, no textures, no library.

    python jobs/ablation.py paper omega                  two of the suites in jobs/configs/ablation
    python jobs/ablation.py my_suite.toml --minutes 30   one of your own, for half an hour; again to go on
    python jobs/ablation.py --variant 'plain' --variant 'long; optimize.num_steps = 400'

All variants of a suite share prompts, seeds and draws. Each finished field is a line of
OUTPUT/results.jsonl and is not made again as long as prompt, recipe, prior and code stay what they
were; so a run can be stopped, continued and extended, and suites share what they have in common.
Page, plot and pictures of a suite go to OUTPUT/SUITE, with --docs to docs/ablation too.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import multiprocessing
import os
import shlex
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from pathlib import Path
from statistics import median
from typing import Any

from dreamfoundry.diffusion.weights import prior_identity
from dreamfoundry.errors import InputError, PromptFailure
from dreamfoundry.evaluation.ablation.results import Ask, Group, asks_of, current_rows, groups_to_do
from dreamfoundry.evaluation.ablation.suites import Suite, quick_suite, read_suite
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT, restart_with
from dreamfoundry.identity import recipe_digest
from dreamfoundry.records import FieldSnapshot, PriorIdentity
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.loading import bundled_recipe
from dreamfoundry.settings.prior import PriorConfig

BUNDLED = Path(__file__).parent / "configs" / "ablation"
DOCS = Path("docs/ablation")
NUM_VIEWS = 4
"""Reference views in the picture of a field."""


def distill_group(group: Group, prior_path: str, output: Path) -> list[dict[str, Any]]:
    """Optimise the prompts of a group side by side and judge each surface against the true toy."""
    from dreamfoundry.distill.loop import SlotBatch
    from dreamfoundry.distill.slot import Assignment, OptimizedField

    batch = SlotBatch(prior_of(prior_path, group.variant.prior, output), group.variant.recipe, len(group.asks))
    for ask in group.asks:
        # Draws follow prompt and seed alone, or variants would differ by more than their recipes.
        batch.admit(Assignment(ask.prompt, f"ablation/{ask.prompt.text}/{ask.prompt.seed}"))
    step_times_s: list[float] = []
    fields: list[OptimizedField] = []
    while batch.num_live:
        begun = time.perf_counter()
        batch.step()
        step_times_s.append(time.perf_counter() - begun)
        fields += batch.harvest()
    step_s = median(step_times_s) / len(group.asks)
    made = {field.assignment.prompt.prompt_id: field for field in fields}
    return [judged(ask, made[ask.prompt.prompt_id], output / "pictures") | {"step_s": step_s} for ask in group.asks]


def judged(ask: Ask, field: Any, pictures: Path) -> dict[str, Any]:
    """What is known of one field; its views go into a picture."""
    from dreamfoundry.evaluation.ablation.judging import judge, no_surface

    row: dict[str, Any] = {"num_steps": field.history.steps_spent, "failure": None, "picture": None}
    row["attempts"] = to_plain(field.history.candidates)
    if field.snapshot is not None:
        row["picture"] = f"{ask.key[:16]}.png"
        save_views(field.snapshot, pictures / row["picture"])
    try:
        if field.failure is not None:
            raise field.failure
        return row | judge(field.snapshot, ask.prompt.text)
    except PromptFailure as failure:
        return row | {"failure": str(failure)} | no_surface(failure.failure_class)


def save_views(snapshot: FieldSnapshot, path: Path) -> None:
    """Reference views from around, side by side over white."""
    import numpy as np
    from PIL import Image

    from dreamfoundry.asset.gates.scores import views_on_white

    every = max(1, len(snapshot.view_rgb) // NUM_VIEWS)
    strip = views_on_white(snapshot)[::every][:NUM_VIEWS]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(strip, axis=1).astype(np.uint8)).save(path)


@functools.cache
def prior_of(path: str, kind: str, output: Path) -> Any:
    """What a variant asks, loaded once per process; a classifier is trained once, into `output`."""
    from dreamfoundry.diffusion.loading import load_prior

    prior = load_prior(prior_config(path))
    if kind == "classifier":
        from dreamfoundry.evaluation.classifier import ClassifierGuidedPrior, cached_classifier

        return ClassifierGuidedPrior(prior, cached_classifier(output / "classifier", bundled_recipe("toybox")))
    return prior


def identity_of(path: str, kind: str, output: Path) -> PriorIdentity:
    """Which prior that is; only a classifier has to be loaded to know it."""
    if kind == "classifier":
        identity: PriorIdentity = prior_of(path, kind, output).identity
        return identity
    return prior_identity(prior_config(path))


def prior_config(path: str) -> PriorConfig:
    return PriorConfig() if path == "toybox" else PriorConfig(path=path, license="Apache-2.0")


def finished(
    groups: Sequence[Group], pool: Executor, arguments: argparse.Namespace
) -> Iterator[tuple[Group, list[dict[str, Any]]]]:
    """Each group with its rows as it ends; once the time is up, none is started."""
    waiting, running = deque(groups), dict[Future[list[dict[str, Any]]], Group]()
    while True:
        while waiting and len(running) < arguments.processes and time.monotonic() < arguments.stop_at:
            group = waiting.popleft()
            running[pool.submit(distill_group, group, arguments.prior, arguments.output)] = group
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def run(suite: Suite, pool: Executor, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Make what is missing of a suite; all its rows that hold."""
    results = arguments.output / "results.jsonl"
    results.touch()
    # A classifier is trained here, before several processes ask for it.
    priors = {variant.name: identity_of(arguments.prior, variant.prior, arguments.output) for variant in suite.variants}
    asks = {
        variant.name: asks_of(variant, suite.prompts, arguments.seeds, priors[variant.name])
        for variant in suite.variants
    }
    rows = current_rows(results.read_text().splitlines(), asks)
    groups = groups_to_do(suite, asks, rows, arguments.slots)
    started_at = time.monotonic()
    for count, (group, group_rows) in enumerate(finished(groups, pool, arguments), 1):
        variant = group.variant
        digests = {"recipe_digest": recipe_digest(variant.recipe), "prior_digest": priors[variant.name].digest}
        with results.open("a") as lines:
            for ask, row in zip(group.asks, group_rows, strict=True):
                asked = {"run": arguments.run, "prompt": ask.prompt.text, "seed": ask.prompt.seed, "key": ask.key}
                lines.write(json.dumps(asked | row | digests) + "\n")
        left_s = (time.monotonic() - started_at) / count * (len(groups) - count)
        print(f"{suite.name}: {count} of {len(groups)} groups done, ETA {left_s / 60:.0f} min", flush=True)
    return current_rows(results.read_text().splitlines(), asks)


def seed_diversity(rows: Sequence[dict[str, Any]], pictures: Path) -> dict[tuple[str, str], float]:
    """How much the seeds of a prompt differ, by variant and prompt, where there are at least two."""
    import numpy as np
    from PIL import Image

    from dreamfoundry.asset.gates.scores import diversity

    shown = defaultdict(list)
    for row in rows:
        if row["picture"]:
            shown[row["variant"], row["prompt"]].append(
                np.asarray(Image.open(pictures / row["picture"]).convert("RGB"))
            )
    return {case: diversity(seeds) for case, seeds in shown.items() if len(seeds) > 1}


def write_report(
    suite: Suite, rows: Sequence[dict[str, Any]], prior: PriorIdentity, arguments: argparse.Namespace
) -> None:
    """Page, plot, pictures and figures of a suite; the kind of each variant on the screen."""
    from dreamfoundry.evaluation.ablation.figures import figures_of
    from dreamfoundry.evaluation.ablation.report import markdown, picture_sheet, plot, shown

    pictures = arguments.output / "pictures"
    figures = figures_of(rows, [variant.name for variant in suite.variants], seed_diversity(rows, pictures))
    setting = {
        "prior": f"{prior.prior_id}, weights `{prior.digest}`",
        "prompts": f"{', '.join(suite.prompts)}; seeds 0 to {arguments.seeds - 1}",
        "processes": f"{arguments.processes} of one thread each on {os.cpu_count()} cores",
        "in all variants": f"`{suite.changes}`" if suite.changes else "nothing changed",
    }
    command = shlex.join(["python", "jobs/ablation.py", *sys.argv[1:]])
    own = arguments.output / suite.name
    for folder in filter(None, (own, arguments.docs)):
        folder.mkdir(parents=True, exist_ok=True)
        plot(suite, figures, folder / f"{suite.name}.png")
        picture_sheet(suite, rows, pictures, folder / f"{suite.name}_fields.png")
        (folder / f"{suite.name}.md").write_text(markdown(suite, figures, setting, command), encoding="utf-8")
    summary = {"suite": suite.name, "prior_digest": prior.digest, "variants": list(map(dataclasses.asdict, figures))}
    (own / "figures.json").write_text(json.dumps(summary, indent=2) + "\n")
    for row in figures:
        kind, f_score = shown(row.kind, "{:.0%}"), shown(row.f_score_5_percent, "{:.2f}")
        print(f"  {row.variant}: kind {kind}, F-score {f_score} at 5 %, {1000 * row.step_s:.0f} ms per step and asset")
    print(f"{suite.name}: {len(rows)} fields -> {own / suite.name}.md")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    bundled = ", ".join(sorted(path.stem for path in BUNDLED.glob("*.toml")))
    parser.add_argument("suites", nargs="*", help=f"TOML files, or any of {bundled}")
    parser.add_argument("--variant", action="append", default=[], help="'name; key = value; key = value'")
    parser.add_argument("--recipe", default="toybox", help="the bundled recipe that a --variant changes")
    parser.add_argument("--prior", default="toybox", help='"toybox" or a folder of weights')
    parser.add_argument(
        "--prompts", type=Path, help="a file with one prompt per line, instead of the toys of each suite"
    )
    parser.add_argument("--seeds", type=int, default=2, help="seeds per prompt")
    parser.add_argument("--slots", type=int, default=4, help="prompts that a process optimises side by side")
    parser.add_argument("--processes", type=int, default=2, help="each with one thread")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start nothing new after these minutes")
    parser.add_argument("--output", type=Path, default=Path("out/ablation"))
    parser.add_argument("--docs", type=Path, nargs="?", const=DOCS, help=f"write the pages there too ({DOCS})")
    arguments = parser.parse_args()
    if not arguments.suites and not arguments.variant:
        parser.error(f"name a suite ({bundled}) or a --variant")

    arguments.run = round(time.time())
    arguments.stop_at = time.monotonic() + 60.0 * arguments.minutes
    try:  # everything is read before any work
        paths = [Path(name) if name.endswith(".toml") else BUNDLED / f"{name}.toml" for name in arguments.suites]
        suites = [read_suite(path) for path in paths]
        if arguments.variant:
            suites.append(quick_suite(arguments.variant, arguments.recipe))
        if arguments.prompts:
            lines = [line.strip() for line in arguments.prompts.read_text().splitlines()]
            suites = [dataclasses.replace(suite, prompts=tuple(filter(None, lines))) for suite in suites]
        prior = prior_identity(prior_config(arguments.prior))
    except InputError as error:
        parser.error(str(error))
    arguments.output.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.processes, multiprocessing.get_context("spawn")) as pool:
        for suite in suites:
            write_report(suite, run(suite, pool, arguments), prior, arguments)
    return 0


if __name__ == "__main__":
    restart_with({**CPU_ENVIRONMENT, "OMP_NUM_THREADS": "1"})
    sys.exit(main())
