"""Compare variants of a recipe on toys: fields and surfaces only, no textures, no library.

    python jobs/ablation.py --variant 'plain' --variant 'long; optimize.num_steps = 400'
    python jobs/ablation.py --prompts prompts.txt --seeds 2 --variant '…' --variant '…'

A variant is a name and then changes to the recipe, all parted by semicolons, written as in a recipe
file. Results are appended to OUTPUT/results.jsonl; what is in
it is not computed again, so a run can be stopped, continued and extended. All seeds and prompts of
one variant share their draws with those of the others.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from dreamfoundry.allocation import LARGE_ALLOCATIONS, restart_with

HARD_PROMPTS = ("a red chair", "a purple table", "a cyan house", "a yellow car", "a blue mug", "a orange cube")


@dataclass(frozen=True)
class Task:
    """Some prompts under one variant, as many as there are slots: what one process does at a time."""

    variant: str
    changes: str
    prompts: tuple[tuple[str, int], ...]
    recipe: str
    prior: str
    folder: Path


@functools.cache
def prior_of(path: str, folder: Path) -> Any:
    """The prior; "classifier" is the toybox guided by a classifier, which is kept in `folder`."""
    from dreamfoundry.config import PriorConfig
    from dreamfoundry.diffusion.prior import load_prior

    if path == "classifier":
        from dreamfoundry.recipes import bundled_recipe
        from dreamfoundry.toybox.classifier import ClassifierGuidedPrior, cached_classifier

        return ClassifierGuidedPrior(prior_of("toybox", folder), cached_classifier(folder, bundled_recipe("toybox")))
    return load_prior(PriorConfig() if path == "toybox" else PriorConfig(path=path, licence="Apache-2.0"))


def changed_recipe(name: str, changes: str) -> Any:
    import tomllib

    from dreamfoundry.recipes import bundled_recipe, with_overrides

    return with_overrides(bundled_recipe(name), tomllib.loads(changes.replace(";", "\n")))


def work(task: Task) -> list[dict[str, Any]]:
    """Optimise the prompts of a task side by side and compare each surface with the true toys."""
    from dreamfoundry.optimize import Assignment, optimize_all
    from dreamfoundry.records import Prompt

    assignments = [
        Assignment(Prompt(f"{text.replace(' ', '-')}-s{seed}", text, seed=seed), f"ablation/{text}/{seed}")
        for text, seed in task.prompts
    ]
    prior, recipe = prior_of(task.prior, task.folder), changed_recipe(task.recipe, task.changes)
    started_at = time.monotonic()
    rows = [
        {"variant": task.variant, "changes": task.changes, "prompt": made.assignment.prompt.text}
        | {"seed": made.assignment.prompt.seed, "num_steps": made.history.steps_spent}
        | judge(made, task.folder / "pictures" / f"{task.variant}-{made.assignment.prompt.prompt_id}.png")
        for made in optimize_all(prior, recipe, assignments, len(assignments))
    ]
    seconds = (time.monotonic() - started_at) / len(rows)
    return [row | {"asset_s": seconds} for row in rows]


def judge(made: Any, picture: Path) -> dict[str, Any]:
    """How near the surface of an optimised field comes to the true one; its views go to `picture`."""
    import numpy as np
    import trimesh
    from PIL import Image

    from dreamfoundry.errors import PromptFailure
    from dreamfoundry.mesh import choose_isovalue, extract_surface
    from dreamfoundry.toybox.captions import kind_of
    from dreamfoundry.toybox.scoring import NUM_POINTS, score_shape

    snapshot, kind = made.snapshot, kind_of(made.assignment.prompt.text)
    try:
        if made.failure is not None:
            raise made.failure
        surface, _ = extract_surface(snapshot, choose_isovalue(snapshot).density)
    except PromptFailure as failure:
        lost: dict[str, Any] = {"kind_correct": False, "f_score_5_percent": 0.0, "f_score_2_percent": 0.0}
        lost |= {"nearest_kind": failure.failure_class, "failure": str(failure)}
        return lost | {"chamfer_share": None, "picture": None}
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    shape = score_shape(np.asarray(trimesh.sample.sample_surface(mesh, NUM_POINTS, seed=0)[0]), str(kind))
    views = range(0, len(snapshot.view_rgb), max(1, len(snapshot.view_rgb) // 4))
    strip = [snapshot.view_rgb[view].astype(int) + 255 - snapshot.view_opacity[view][..., None] for view in views]
    picture.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(strip[:4], axis=1).clip(0, 255).astype(np.uint8)).save(picture)
    return {
        "kind_correct": shape.nearest_kind == kind,
        "nearest_kind": shape.nearest_kind,
        "f_score_5_percent": shape.f_scores[0],
        "f_score_2_percent": shape.f_scores[1],
        "chamfer_share": shape.chamfer_share,
        "picture": picture.name,
    }


def read_results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def pending(arguments: argparse.Namespace, variants: dict[str, str], prompts: list[str]) -> Iterator[Task]:
    """The tasks whose results are still missing."""
    done = {(row["variant"], row["prompt"], row["seed"]) for row in read_results(arguments.output / "results.jsonl")}
    for name, changes in variants.items():
        rows = [(text, seed) for seed in range(arguments.seeds) for text in prompts]
        rows = [row for row in rows if (name, *row) not in done]
        for start in range(0, len(rows), arguments.slots):
            chunk = tuple(rows[start : start + arguments.slots])
            yield Task(name, changes, chunk, arguments.recipe, arguments.prior, arguments.output)


def summary(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    from dreamfoundry.toybox.evidence import wilson_interval

    correct = sum(row["kind_correct"] for row in rows)
    return {
        "variant": name,
        "asked": len(rows),
        "kind_accuracy": correct / len(rows),
        "kind_interval_95": wilson_interval(correct, len(rows)),
        "f_score": mean(row["f_score_5_percent"] for row in rows),
        "f_score_2_percent": mean(row["f_score_2_percent"] for row in rows),
        "median_asset_s": median(row["asset_s"] for row in rows),
    }


def picture_grid(rows: list[dict[str, Any]], variants: list[str], folder: Path) -> None:
    """Prompts down, variants across; a correct kind has a green label."""
    from PIL import Image, ImageDraw

    cases = list(dict.fromkeys((row["prompt"], row["seed"]) for row in rows))
    width, height, label = 260, 64, 16
    sheet = Image.new("RGB", (width * len(variants), (height + label) * len(cases)), "white")
    draw = ImageDraw.Draw(sheet)
    for row in rows:
        x = variants.index(row["variant"]) * width
        y = cases.index((row["prompt"], row["seed"])) * (height + label)
        if row["picture"]:
            strip = Image.open(folder / "pictures" / row["picture"]).resize((width - 4, height))
            sheet.paste(strip, (x, y + label))
        text = f"{row['variant']}: {row['prompt']} -> {row['nearest_kind']} {row['f_score_5_percent']:.2f}"
        draw.text((x + 2, y + 2), text, fill="darkgreen" if row["kind_correct"] else "firebrick")
    sheet.save(folder / "pictures.png")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", action="append", required=True, help="'name; key = value; key = value'")
    parser.add_argument("--recipe", default="toybox", help="the bundled recipe that variants change")
    parser.add_argument("--prior", default="toybox", help='"toybox", "classifier" or a folder of weights')
    parser.add_argument("--prompts", type=Path, help="a file with one prompt per line (default: six hard kinds)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--slots", type=int, default=3, help="prompts that a process optimises side by side")
    parser.add_argument("--processes", type=int, default=2, help="each with one thread")
    parser.add_argument("--output", type=Path, default=Path("out/ablation"))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()

    parted = [text.partition(";") for text in arguments.variant]
    variants = {name.strip(): changes.strip() for name, _, changes in parted}
    for changes in variants.values():
        changed_recipe(arguments.recipe, changes)  # a bad key is refused before any work
    prompts = list(HARD_PROMPTS)
    if arguments.prompts:
        prompts = [line.strip() for line in arguments.prompts.read_text().splitlines() if line.strip()]
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.prior == "classifier":
        prior_of(arguments.prior, arguments.output)  # trained once, before several processes ask for it
    tasks = list(pending(arguments, variants, prompts))
    started_at = time.monotonic()
    with ProcessPoolExecutor(arguments.processes, multiprocessing.get_context("spawn")) as pool:
        for count, future in enumerate(as_completed([pool.submit(work, task) for task in tasks]), 1):
            with (arguments.output / "results.jsonl").open("a") as lines:
                lines.writelines(json.dumps(row) + "\n" for row in future.result())
            left_s = (time.monotonic() - started_at) / count * (len(tasks) - count)
            print(f"{count} of {len(tasks)} groups done, ETA {left_s / 60:.0f} min", flush=True)

    rows = [row for row in read_results(arguments.output / "results.jsonl") if row["variant"] in variants]
    picture_grid(rows, list(variants), arguments.output)
    results = [summary(name, [row for row in rows if row["variant"] == name]) for name in variants]
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"prior": arguments.prior, "variants": results, "rows": rows}, indent=2))
    for result in results:
        low, high = result["kind_interval_95"]
        print(
            f"{result['variant']:>16}: kind {result['kind_accuracy']:.0%} ({low:.0%} to {high:.0%}) of "
            f"{result['asked']}, F-score {result['f_score']:.2f} at 5 %, {result['f_score_2_percent']:.2f} at 2 %, "
            f"{result['median_asset_s']:.0f} s an asset"
        )
    print(f"{len(rows)} surfaces under {len(variants)} variants; pictures in {arguments.output / 'pictures.png'}")
    return 0


if __name__ == "__main__":
    restart_with({**LARGE_ALLOCATIONS, "OMP_NUM_THREADS": "1"})
    sys.exit(main())
