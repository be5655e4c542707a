"""One measurement of jobs/benchmark.py, in a process of its own; prints one line of JSON.

    python jobs/benchmark_child.py measure --case "K = 4" --recipe toybox --device cpu --profile preview --steps 20

The measurements `rate` and `export` print "ready" first and begin when they are given a line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import select
import sys
import time
from typing import Any

import torch

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import load_prior, usual_dtype
from dreamfoundry.diffusion.random_weights import ARCHITECTURES, SD_VAE_WIDTHS, TINY_VAE_WIDTHS, random_sd_decoder
from dreamfoundry.diffusion.weights import PriorEngine, prior_identity
from dreamfoundry.distill.loop import optimize_all
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.evaluation.benchmark import ceilings
from dreamfoundry.evaluation.benchmark.baseline import Decode
from dreamfoundry.evaluation.benchmark.measure import (
    DECODING_BASELINE,
    FACTORS,
    PROMPT,
    Case,
    Loop,
    measure,
    slots_case,
    steps_per_s,
)
from dreamfoundry.evaluation.benchmark.operators import costliest_operators
from dreamfoundry.identity import field_key, recipe_digest
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.snapshot import take_snapshot
from dreamfoundry.records import PriorIdentity, Prompt
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import resolve_recipe, with_overrides
from dreamfoundry.settings.recipe import Recipe

Figures = dict[str, Any]


def about(arguments: argparse.Namespace) -> Figures:
    """The machine, its ceilings, and what is measured on it; what this holds of a device goes with its process."""
    prior, recipe = opened(arguments, "eager")
    dtype, is_cuda = usual_dtype(arguments.device), arguments.device == "cuda"
    views = recipe.optimize.views_per_step
    return {
        "device": torch.cuda.get_device_name() if is_cuda else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "dtype": str(dtype).removeprefix("torch."),
        "recipe": arguments.recipe,
        "overrides": arguments.set,
        "prior": prior.identity.prior_id,
        "steps_per_asset": recipe.optimize.num_steps,
        "views_per_step": views,
        "matmul_flop_per_s": ceilings.matmul_flop_per_s(arguments.device, dtype, 8192 if is_cuda else 2048),
        "copy_bytes_per_s": ceilings.copy_bytes_per_s(arguments.device, 2**32 if is_cuda else 2**28),
        "prior_flop_per_view": ceilings.prior_flop(prior, views, 2, recipe.render.image_px) / views,
    }


def measured(arguments: argparse.Namespace) -> Figures:
    case = case_named(arguments.case)
    prior, recipe = opened(arguments, engine_of(case))
    decode = random_decoder(arguments) if case.decodes else None
    return measure(case, prior, recipe, device=arguments.device, decode=decode, num_steps=arguments.steps)


def random_decoder(arguments: argparse.Namespace) -> Decode:
    is_tiny = arguments.architecture.startswith("tiny")
    return random_sd_decoder(arguments.device, widths=TINY_VAE_WIDTHS if is_tiny else SD_VAE_WIDTHS)


def engine_of(case: Case) -> PriorEngine:
    """The research codes run a prior kernel by kernel; on a CPU so do we."""
    return "graphs" if case.num_slots else "eager"


def rate(arguments: argparse.Namespace) -> Figures:
    """Steps per second while others do the same; begins when it is told to."""
    case = case_named(arguments.case)
    prior, recipe = opened(arguments, engine_of(case))
    loop = Loop(case, prior, recipe, arguments.device)
    loop.go_to(0.5)
    steps_per_s(loop, 2.0)
    wait_for_go()
    return {"steps_per_s": steps_per_s(loop, arguments.window)}


def whole(arguments: argparse.Namespace) -> Figures:
    """One asset as a laptop makes it: all steps and looks, the snapshot, and the files of the profile."""
    from dreamfoundry.asset.export import export_asset
    from dreamfoundry.asset.files.metadata import asset_metadata

    start = time.perf_counter()
    prior, recipe = opened(arguments, "graphs")
    loaded = time.perf_counter()
    recipe = with_overrides(recipe, {"optimize.num_steps": arguments.whole})
    profile, identity, prompt = export_profile(arguments.profile), prior_identity(recipe.prior), Prompt("bench", PROMPT)
    key = field_key(prompt, recipe, identity)
    (made,) = optimize_all(prior, recipe, [Assignment(prompt, key)], 1, arguments.device)
    if made.snapshot is None:
        raise SystemExit(f"error: {PROMPT!r} gave no field: {made.failure}")
    optimized = time.perf_counter()
    metadata = asset_metadata(prompt, identity, key, key, recipe_digest(recipe), profile)
    bundle = export_asset(made.snapshot, prompt, profile=profile, metadata=metadata)
    exported = time.perf_counter()
    return {
        "num_steps": made.history.steps_spent,
        "load_s": loaded - start,
        "optimize_s": optimized - loaded,
        "export_s": exported - optimized,
        "total_s": exported - loaded,
        "files": sorted(bundle.files),
    }


def operators(arguments: argparse.Namespace) -> Figures:
    case = case_named(arguments.case)
    prior, recipe = opened(arguments, engine_of(case))
    loop = Loop(case, prior, recipe, arguments.device)
    found = {}
    for start, end in recipe.render.spans:
        loop.go_to((start + end) / 2)
        stage = recipe.render.at((start + end) / 2)
        found[f"{stage.image_px} px x {stage.samples_per_ray}"] = costliest_operators(loop)
    return found


def export(arguments: argparse.Namespace) -> Figures:
    """Exports a ball again and again on the CPU, from when it is told to until its input ends."""
    from dreamfoundry.asset.export import export_asset
    from dreamfoundry.asset.files.metadata import asset_metadata

    # The blob that a field starts with, made solid.
    recipe = resolve_recipe("toybox", ["field.density_blob_scale=20.0"])
    fields = RadianceFields(recipe.field, 1)
    fields.init_slot(0, torch.Generator().manual_seed(0))
    snapshot = take_snapshot(fields, 0, recipe.render, recipe.snapshot, recipe.cameras)
    profile, prompt = export_profile(arguments.profile), Prompt("bench", "a ball")
    metadata = asset_metadata(prompt, PriorIdentity("none", "none", "none", "CC0-1.0"), "0", "0", "0", profile)
    export_asset(snapshot, prompt, profile=profile, metadata=metadata)
    wait_for_go()
    num_exports, start = 0, time.perf_counter()
    while not select.select([sys.stdin], [], [], 0.0)[0]:
        export_asset(snapshot, prompt, profile=profile, metadata=metadata)
        num_exports += 1
    return {"exports_per_hour": 3600.0 * num_exports / (time.perf_counter() - start)}


def wait_for_go() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def opened(arguments: argparse.Namespace, engine: PriorEngine) -> tuple[DiffusersPrior, Recipe]:
    """The prior on its device, and the recipe, in a process with the threads that it was given."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = resolve_recipe(arguments.recipe, arguments.set)
    if arguments.architecture:
        return ARCHITECTURES[arguments.architecture](arguments.device, engine=engine), recipe
    return load_prior(recipe.prior, device=arguments.device, engine=engine), recipe


def case_named(name: str) -> Case:
    named = {case.name: case for case in (DECODING_BASELINE, *FACTORS)}
    return named.get(name) or slots_case(int(name.removeprefix("K = ")))


MEASUREMENTS = {
    "about": about,
    "measure": measured,
    "rate": rate,
    "whole": whole,
    "operators": operators,
    "export": export,
}


def parse_arguments() -> argparse.Namespace:
    parser = CommandLine(__doc__)
    parser.add_argument("measurement", choices=sorted(MEASUREMENTS))
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", required=True)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--case")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--window", type=float, metavar="S")
    parser.add_argument("--whole", type=int, metavar="STEPS")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes by itself")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> int:
    print(json.dumps(MEASUREMENTS[arguments.measurement](arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code_of(lambda: run(parse_arguments())))
