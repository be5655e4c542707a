"""Measurements of the benchmark, each made in a process of its own so that its peak memory is its own.

`rate` and `export` call `wait` once they are warm: whoever measures several processes at once starts
them together.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import load_prior, usual_dtype
from dreamfoundry.diffusion.random_weights import ARCHITECTURES, SD_VAE_WIDTHS, TINY_VAE_WIDTHS, random_sd_decoder
from dreamfoundry.diffusion.weights import PriorEngine, prior_identity
from dreamfoundry.distill.device import require_kernels
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
from dreamfoundry.evaluation.benchmark.operators import profile_steps
from dreamfoundry.identity import field_key, recipe_digest
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.snapshot import take_snapshot
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import resolve_recipe, with_overrides
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

Figures = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """Settings of one measurement; those that it does not use may stay as they are.

    `architecture` ("" for the recipe's own prior) names one with random weights. `threads` 0 leaves
    them to torch.
    """

    recipe: str
    device: str
    profile: str
    overrides: tuple[str, ...] = ()
    architecture: str = ""
    case: str = ""
    num_steps: int = 0
    window_s: float = 0.0
    whole_steps: int = 0
    threads: int = 0
    wait: Callable[[], None] = lambda: None
    """Returns when the measurement may begin."""
    is_over: Callable[[], bool] = lambda: True
    """True once an open-ended measurement should end."""


def about(bench: Bench) -> Figures:
    """The machine, its ceilings, and what is measured on it."""
    prior, recipe = _open(bench, "eager")
    dtype, is_cuda = usual_dtype(bench.device), bench.device == "cuda"
    num_views = recipe.optimize.views_per_step

    return {
        "device": torch.cuda.get_device_name() if is_cuda else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "dtype": str(dtype).removeprefix("torch."),
        "recipe": bench.recipe,
        "overrides": list(bench.overrides),
        "prior": prior.identity.prior_id,
        "steps_per_asset": recipe.optimize.num_steps,
        "views_per_step": num_views,
        "matmul_flop_per_s": ceilings.matmul_flop_per_s(bench.device, dtype, 8192 if is_cuda else 2048),
        "copy_bytes_per_s": ceilings.copy_bytes_per_s(bench.device, 2**32 if is_cuda else 2**28),
        "prior_flop_per_view": ceilings.prior_flop(prior, num_views, 2, recipe.render.image_px) / num_views,
    }


def step_times(bench: Bench) -> Figures:
    """Figures of one case: seconds of a step by part, and peak memory."""
    case = case_named(bench.case)
    prior, recipe = _open(bench, _engine_of(case))
    decode = _random_decoder(bench) if case.decodes else None
    return measure(case, prior, recipe, device=bench.device, decode=decode, num_steps=bench.num_steps)


def _random_decoder(bench: Bench) -> Decode:
    is_tiny = bench.architecture.startswith("tiny")
    return random_sd_decoder(bench.device, widths=TINY_VAE_WIDTHS if is_tiny else SD_VAE_WIDTHS)


def rate(bench: Bench) -> Figures:
    """Steps per second while other processes work."""
    case = case_named(bench.case)
    prior, recipe = _open(bench, _engine_of(case))
    loop = Loop(case, prior, recipe, bench.device)
    loop.go_to(0.5)
    steps_per_s(loop, 2.0)
    bench.wait()
    return {"steps_per_s": steps_per_s(loop, bench.window_s)}


def whole(bench: Bench) -> Figures:
    """One asset as a laptop makes it: all steps and probes, the snapshot, and the files of the profile."""
    # the packages of the export are needed here and in `export` alone
    from dreamfoundry.asset.export import export_asset
    from dreamfoundry.asset.files.metadata import asset_metadata

    start = time.perf_counter()
    prior, recipe = _open(bench, "graphs")
    loaded = time.perf_counter()

    recipe = with_overrides(recipe, {"optimize.num_steps": bench.whole_steps})
    profile, identity, prompt = export_profile(bench.profile), prior_identity(recipe.prior), Prompt("bench", PROMPT)
    key = field_key(prompt, recipe, identity)
    (field,) = optimize_all(prior, recipe, [Assignment(prompt, key)], 1, bench.device)
    if field.snapshot is None:
        raise SystemExit(f"error: {PROMPT!r} gave no field: {field.failure}")
    optimized = time.perf_counter()

    metadata = asset_metadata(prompt, identity, key, key, recipe_digest(recipe), profile)
    bundle = export_asset(field.snapshot, prompt, profile=profile, metadata=metadata)
    exported = time.perf_counter()
    return {
        "num_steps": field.history.steps_spent,
        "load_s": loaded - start,
        "optimize_s": optimized - loaded,
        "export_s": exported - optimized,
        "total_s": exported - loaded,
        "files": sorted(bundle.files),
    }


def operators(bench: Bench) -> Figures:
    """The costliest operators of each render phase, by its size in words."""
    case = case_named(bench.case)
    prior, recipe = _open(bench, _engine_of(case))
    loop = Loop(case, prior, recipe, bench.device)
    by_phase = {}
    for start, end in recipe.render.spans:
        loop.go_to((start + end) / 2)
        phase = recipe.render.at((start + end) / 2)
        by_phase[f"{phase.image_px} px x {phase.samples_per_ray}"] = profile_steps(loop).operators
    return by_phase


def export(bench: Bench) -> Figures:
    """Exports per hour of a ball on the CPU, from when `wait` returns until `is_over`."""
    from dreamfoundry.asset.export import export_asset
    from dreamfoundry.asset.files.metadata import asset_metadata

    # the blob that a field starts with, made solid
    recipe = resolve_recipe("toybox", ["field.density_blob_scale=20.0"])
    fields = RadianceFields(recipe.field, 1)
    fields.init_slot(0, torch.Generator().manual_seed(0))
    snapshot = take_snapshot(fields, 0, recipe.render, recipe.snapshot, recipe.cameras)

    profile, prompt = export_profile(bench.profile), Prompt("bench", "a ball")
    metadata = asset_metadata(prompt, PriorIdentity("none", "none", "none", "CC0-1.0"), "0", "0", "0", profile)
    export_asset(snapshot, prompt, profile=profile, metadata=metadata)

    bench.wait()
    num_exports, start = 0, time.perf_counter()
    while not bench.is_over():
        export_asset(snapshot, prompt, profile=profile, metadata=metadata)
        num_exports += 1
    return {"exports_per_hour": 3600.0 * num_exports / (time.perf_counter() - start)}


def _engine_of(case: Case) -> PriorEngine:
    """The research codes run a prior kernel by kernel; on a CPU so do we."""
    return "graphs" if case.num_slots else "eager"


def _open(bench: Bench, engine: PriorEngine) -> tuple[DiffusersPrior, Recipe]:
    """The prior on its device, and the recipe, in a process with the threads that it was given.

    DeviceUnavailable on a GPU without kernels: its figures would be those of the torch code.
    """
    require_kernels(bench.device)
    if bench.threads:
        torch.set_num_threads(bench.threads)
    recipe = resolve_recipe(bench.recipe, bench.overrides)
    if bench.architecture:
        return ARCHITECTURES[bench.architecture](bench.device, engine=engine), recipe
    return load_prior(recipe.prior, device=bench.device, engine=engine), recipe


def case_named(name: str) -> Case:
    """The case of a name; "K = 4" is the main loop with four slots."""
    cases = {case.name: case for case in (DECODING_BASELINE, *FACTORS)}
    return cases.get(name) or slots_case(int(name.removeprefix("K = ")))


MEASUREMENTS: Mapping[str, Callable[[Bench], Figures]] = {
    "about": about,
    "measure": step_times,
    "rate": rate,
    "whole": whole,
    "operators": operators,
    "export": export,
}
"""By the name that the command line and the parent process use."""
