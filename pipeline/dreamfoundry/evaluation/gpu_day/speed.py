"""Time and memory of a step: one step in detail, the table of the documentation, and what a switch changes.

Priors have random weights in real shapes. A case is one loop. Priors are made by the first case that is measured with
them, as part of its time, and live as long as the cases that share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial

import torch

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.networks.vae_encoder import VaeLayout
from dreamfoundry.diffusion.random_weights import (
    ARCHITECTURES,
    SD_VAE_WIDTHS,
    TINY_VAE_WIDTHS,
    random_sd_decoder,
)
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.distill.step.replay import StepGraphs
from dreamfoundry.evaluation.benchmark.baseline import Decode
from dreamfoundry.evaluation.benchmark.measure import (
    BASELINE,
    DECODING_BASELINE,
    Case,
    Loop,
    memory_figures,
    slots_case,
    stage_times,
    step_figures,
)
from dreamfoundry.evaluation.benchmark.operators import profile_steps, waits_of_a_step
from dreamfoundry.evaluation.benchmark.roofline import measured_roofline
from dreamfoundry.evaluation.gpu_day.task import Emit, Figures, Task, measure_cases
from dreamfoundry.nerf.kernels.availability import kernels_in_words
from dreamfoundry.settings.loading import resolve_recipe
from dreamfoundry.settings.recipe import Recipe

Measure = Callable[[], Figures]

MakePrior = Callable[[], DiffusersPrior]
"""Makes a prior when it is first called, and keeps it."""

SETTINGS = ("optimize.views_per_step=1",)
"""One view of 64 x 64, as a step of the research codes shows."""

TINY_SETTINGS = (
    *SETTINGS,
    "render.image_px=8",
    "render.samples_per_ray=4",
    "field.hash_grid.entries_per_level=256",
    "field.occupancy_resolution=8",
)

TINY = {"sd21": ("tiny-sd21", 64), "if-m": ("tiny-if", 16)}
"""Architecture and size of the pictures in a rehearsal."""

SLOTS_IN_DETAIL = 8

WARM_UP_STEPS = 4
"""Three calls of a shape are eager, the next one records its graph."""


def step_in_detail(task: Task, emit: Emit) -> None:
    """Memory, places that wait for the GPU, and costliest kernels of a step of eight slots."""
    case = slots_case(2 if task.is_tiny else SLOTS_IN_DETAIL)
    prior = _prior(task, "sd21", task.engine)
    prior.vae_rows = case.num_slots
    loop = Loop(case, prior, _recipe(task), task.device)
    for _ in range(1 if task.is_tiny else WARM_UP_STEPS):
        loop.step()

    measure_cases(
        task,
        [
            ("memory", lambda: _memory(task)),
            ("waits", lambda: {"lines": waits_of_a_step(loop)}),
            ("back to back", lambda: {"step_s": loop.back_to_back_s(6)}),
            ("profile", lambda: asdict(profile_steps(loop, num_steps=2, most=30))),
        ],
        emit,
    )


def step_table(task: Task, emit: Emit) -> None:
    """The baselines, then the main loop with more and more slots, each for a few steps."""
    measure_cases(task, _table(task), emit)


def _table(task: Task) -> Iterator[tuple[str, Measure]]:
    """The eager prior of the baselines first, so that memory is that of one prior at a time."""
    prior = cache(partial(_prior, task, "sd21", "eager"))
    for case in (BASELINE, DECODING_BASELINE):
        yield case.name, partial(_figures, task, case, prior, 6)
    slots = [slots_case(count) for count in ((1, 2) if task.is_tiny else (1, 4, 8, 16, 32))]
    yield "least", partial(_least, task, slots, prior)

    prior = cache(partial(_prior, task, "sd21", task.engine))
    for case in slots:  # activations of the VAE are kept, as preflight chooses where they fit
        yield case.name, partial(_figures, task, case, prior, 8, vae_rows=case.num_slots)


def _least(task: Task, cases: Sequence[Case], prior: MakePrior) -> Figures:
    """The least seconds of a step per asset at the pace of this device, predicted."""
    roofline = measured_roofline(prior(), _recipe(task), task.device)
    steps = {case.name: roofline.step_s(case.num_slots, computes_twice=False) / case.num_slots for case in cases}
    return {"pace": asdict(roofline.ceilings), "prior_flop": asdict(roofline.flop), "step_s": steps}


def switches(task: Task, emit: Emit) -> None:
    """Eight slots as they are and with one switch turned each, then DeepFloyd IF."""
    measure_cases(task, _switches(task), emit)


def _switches(task: Task) -> Iterator[tuple[str, Measure]]:
    case = slots_case(2 if task.is_tiny else SLOTS_IN_DETAIL)
    steps = partial(_figures, task, case, num_steps=6, vae_rows=case.num_slots)
    prior = cache(partial(_prior, task, "sd21", task.engine))
    yield "as it is", partial(steps, prior)
    yield "VAE without channels last", partial(steps, prior, vae_layout="contiguous")
    yield "activations of the VAE computed twice", partial(steps, prior, vae_rows=case.num_slots // 2)

    torch.backends.cudnn.benchmark = True
    yield "cudnn.benchmark", partial(steps, prior)
    torch.backends.cudnn.benchmark = False

    yield "recorded steps", partial(steps, prior, is_recorded=True)

    prior = cache(partial(_prior, task, "sd21", task.engine, has_tiny_vae=True))
    yield "tiny encoder", partial(steps, prior)

    prior = cache(partial(_prior, task, "if-m", task.engine))
    for case in (slots_case(1), slots_case(2 if task.is_tiny else 16)):
        yield f"if-m, {case.name}", partial(_figures, task, case, prior, 6)
        yield f"if-m, {case.name}, recorded steps", partial(_figures, task, case, prior, 6, is_recorded=True)


def _figures(
    task: Task,
    case: Case,
    make_prior: MakePrior,
    num_steps: int,
    *,
    vae_rows: int | None = None,
    vae_layout: VaeLayout = "channels_last",
    is_recorded: bool = False,
) -> Figures:
    """Seconds of a step by part, steps back to back, and peaks of memory. A rehearsal makes one step.

    `vae_rows`: pictures that the VAE keeps the activations of, by itself the prior's own number.
    `is_recorded`: what is around the prior is replayed too, on a GPU.
    """
    prior = make_prior()
    prior.vae_layout = vae_layout
    if vae_rows is not None:
        prior.vae_rows = vae_rows
    prior.forget_shapes()

    if task.is_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    warm_up = WARM_UP_STEPS + is_recorded  # a step is recorded once its prior is
    if task.is_tiny:
        warm_up, num_steps = 1, 1
    decode = _decoder(task) if case.decodes else None
    recorder = StepGraphs() if is_recorded and task.is_cuda else None
    loop = Loop(case, prior, _recipe(task), task.device, decode, recorder)
    stages = stage_times(loop, warm_up, num_steps)
    return {
        **step_figures(loop, stages),
        "back_to_back_s": loop.back_to_back_s(num_steps) / loop.num_assets,
        **memory_figures(task.is_cuda),
        "kernels": kernels_in_words(torch.device(task.device)),
        "vae_rows": prior.vae_rows,
        "steps_s": [dict(step) for stage in stages for step in stage.steps_s],
    }


def _memory(task: Task) -> Figures:
    """Peaks, and what the driver says is free now: reserved less allocated is held by graphs and by the cache."""
    if not task.is_cuda:
        return memory_figures(False)
    free_bytes, total_bytes = torch.cuda.mem_get_info()
    return {
        **memory_figures(True),
        "allocated_mib": torch.cuda.memory_allocated() / 2**20,
        "reserved_mib": torch.cuda.memory_reserved() / 2**20,
        "used_mib": (total_bytes - free_bytes) / 2**20,
    }


def _recipe(task: Task) -> Recipe:
    return resolve_recipe("dreamfusion_hash", TINY_SETTINGS if task.is_tiny else SETTINGS)


def _prior(task: Task, name: str, engine: PriorEngine, **options: bool) -> DiffusersPrior:
    if not task.is_tiny:
        return ARCHITECTURES[name](task.device, engine=engine, **options)
    architecture, picture_px = TINY[name]
    prior = ARCHITECTURES[architecture](task.device, engine=engine, **options)
    prior.picture_px = picture_px
    return prior


def _decoder(task: Task) -> Decode:
    return random_sd_decoder(task.device, widths=TINY_VAE_WIDTHS if task.is_tiny else SD_VAE_WIDTHS)
