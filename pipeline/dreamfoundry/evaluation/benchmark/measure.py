"""One loop with a stopwatch: ours with K slots, or the baseline with as much of ours as a case says.

Steps are measured in the middle of each render phase of a recipe; the time of an asset is their
mean, weighted with the lengths of the stages.
"""

from __future__ import annotations

import dataclasses
import math
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.distill.step.replay import StepRecorder
from dreamfoundry.evaluation.benchmark.baseline import Decode, GridSampleFields, OnePrompt, baseline_recipe
from dreamfoundry.evaluation.benchmark.stopwatch import Stopwatch, WatchedOptimizer, WatchedPrior
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.snapshot import take_snapshot
from dreamfoundry.records import FieldSnapshot, Prompt
from dreamfoundry.settings.recipe import Recipe

PROMPT = "a red mushroom"


@dataclass(frozen=True)
class Case:
    """One loop to measure: `num_slots` of the main loop, or with 0 the baseline.

    The baseline may have the samples of the recipe instead of 512 on a ray, and the product's own
    field instead of one read by `grid_sample`. `decodes`: it decodes latents in every step and
    discards them.
    """

    name: str
    num_slots: int
    own_samples: bool = True
    own_field: bool = True
    decodes: bool = False


BASELINE = Case("baseline", 0, own_samples=False, own_field=False)

DECODING_BASELINE = Case("baseline that decodes", 0, own_samples=False, own_field=False, decodes=True)
"""As threestudio has it; `BASELINE` is as stable-dreamfusion has it."""

FACTORS = (
    BASELINE,
    Case("with the recipe's samples", 0, own_field=False),
    Case("with our field too", 0),
)
"""From the loop of the research codes to ours, one step at a time; what follows is the main loop."""


def slots_case(num_slots: int) -> Case:
    """The main loop with K slots."""
    return Case(f"K = {num_slots}", num_slots)


@dataclass(frozen=True)
class StageTime:
    """A render phase: its share of an asset's steps, and the seconds of each measured step by part.

    A line has "whole", "prior" and "optimizer"; field, renderer and bookkeeping are the rest of it.
    """

    share: float
    image_px: int
    samples_per_ray: int
    steps_s: tuple[Mapping[str, float], ...]

    def mean_s(self, part: str) -> float:
        return sum(step.get(part, 0.0) for step in self.steps_s) / len(self.steps_s)


class Loop:
    """The loop of a case, with every slot occupied, under a stopwatch.

    `recorder` is for the main loop: steps that it has recorded are replayed whole, their optimizer untimed.
    """

    def __init__(
        self,
        case: Case,
        prior: ScorePrior,
        recipe: Recipe,
        device: str = "cpu",
        decode: Decode | None = None,
        recorder: StepRecorder | None = None,
    ) -> None:
        self.recipe = recipe if case.own_samples else baseline_recipe(recipe)
        self.num_assets = max(1, case.num_slots)
        self.is_cuda = torch.device(device).type == "cuda"
        self._watch = Stopwatch(device)
        watched = cast(ScorePrior, WatchedPrior(prior, self._watch))
        names = [f"bench-{index}" for index in range(self.num_assets)]
        assignments = [Assignment(Prompt(name, PROMPT), name) for name in names]
        if case.decodes != (decode is not None):
            raise ValueError(f"case {case.name!r}: decodes = {case.decodes}, so it must come with decode, or without")
        self._loop: SlotBatch | OnePrompt
        if case.num_slots:
            self._loop = SlotBatch(watched, self.recipe, case.num_slots, device, recorder)
            for assignment in assignments:
                self._loop.admit(assignment)
            if recorder is None:
                self._loop.field_step.adam = cast(Any, WatchedOptimizer(self._loop.adam, self._watch))
        else:
            # A research code on its own terms: nothing skips empty space, and no kernel of ours reads its field.
            # Compositing is ours in both, on a GPU a kernel: that favours the baseline.
            even = dataclasses.replace(self.recipe.field, occupancy_resolution=0)
            config = even if case.own_field else dataclasses.replace(even, encoding="dense")
            self.recipe = dataclasses.replace(self.recipe, field=config)
            fields = (RadianceFields if case.own_field else GridSampleFields)(config, 1, device)
            self._loop = OnePrompt(
                watched, self.recipe, assignments[0], fields, device, self._watch.around("prior", decode)
            )
            self._loop.optimizer = cast(Any, WatchedOptimizer(self._loop.optimizer, self._watch))

    def go_to(self, progress: float) -> None:
        """Have the next step be the one at `progress` in [0, 1] of the steps."""
        step = math.ceil(progress * self.recipe.optimize.num_steps)
        if isinstance(self._loop, OnePrompt):
            self._loop.step_number = step
            return
        for slot in self._loop.slots:
            assert slot is not None
            slot.step = step

    def step(self) -> Mapping[str, float]:
        """Seconds of one step: "whole", "prior" and "optimizer"."""
        self.submit()
        return self._watch.take()

    def submit(self) -> None:
        """Make one step; a GPU may still be at it when this returns."""
        start = self._watch.now()
        self._loop.step()
        self._watch.add("whole", start, self._watch.now())

    def back_to_back_s(self, num_steps: int) -> float:
        """Seconds of a step when the host doesn't wait for the end of each, as in production."""
        self._watch.take()
        start = time.perf_counter()
        for _ in range(num_steps):
            self.submit()
        self._watch.take()
        return (time.perf_counter() - start) / num_steps

    def snapshot(self) -> FieldSnapshot:
        """The first field as the export gets it."""
        recipe = self.recipe
        return take_snapshot(self._loop.fields, 0, recipe.render.at(1.0), recipe.snapshot, recipe.cameras)


def stage_times(loop: Loop, warm_up: int, num_steps: int) -> tuple[StageTime, ...]:
    """Measure `num_steps` steps around the middle of every render phase, after `warm_up` more."""
    render, total = loop.recipe.render, loop.recipe.optimize.num_steps
    measured = []
    for start, end in render.spans:
        loop.go_to(max(start, (start + end) / 2 - (warm_up + num_steps) / 2 / total))
        for _ in range(warm_up):
            loop.step()
        stage = render.at((start + end) / 2)
        steps_s = tuple(dict(loop.step()) for _ in range(num_steps))
        measured.append(StageTime(end - start, stage.image_px, stage.samples_per_ray, steps_s))
    return tuple(measured)


def measure(
    case: Case,
    prior: ScorePrior,
    recipe: Recipe,
    *,
    device: str = "cpu",
    decode: Decode | None = None,
    warm_up: int = 3,
    num_steps: int = 20,
) -> dict[str, Any]:
    """The figures of a case as JSON takes them; times are of a step of one asset, in seconds.

    `decode` is for cases that decode; its time counts as the prior's.
    """
    loop = Loop(case, prior, recipe, device, decode)
    if loop.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    stages = stage_times(loop, warm_up, num_steps)
    start = time.perf_counter()
    loop.snapshot()
    snapshot_s = time.perf_counter() - start

    steps = step_figures(loop, stages)
    return {
        "case": dataclasses.asdict(case),
        "threads": torch.get_num_threads(),
        **steps,
        "snapshot_s": snapshot_s,
        "optimize_s": steps["step_s"] * recipe.optimize.num_steps + snapshot_s,
        **memory_figures(loop.is_cuda),
        "stages": [dataclasses.asdict(stage) for stage in stages],
    }


def step_figures(loop: Loop, stages: Sequence[StageTime]) -> dict[str, float]:
    """Seconds of a step of one asset, by part, over all stages."""

    def mean_s(part: str) -> float:
        return sum(stage.share * stage.mean_s(part) for stage in stages) / loop.num_assets

    whole_s, prior_s, optimizer_s = mean_s("whole"), mean_s("prior"), mean_s("optimizer")
    return {
        "step_s": whole_s,
        "prior_s": prior_s,
        "optimizer_s": optimizer_s,
        "rest_s": whole_s - prior_s - optimizer_s,
        "prior_share": prior_s / whole_s,
    }


def memory_figures(is_cuda: bool) -> dict[str, float]:
    """Peaks of memory so far, in MiB: of this process, or of the device. Recorded graphs count as reserved only."""
    if not is_cuda:
        return {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}
    return {
        "peak_memory_mib": torch.cuda.max_memory_allocated() / 2**20,
        "peak_reserved_mib": torch.cuda.max_memory_reserved() / 2**20,
    }


def steps_per_s(loop: Loop, seconds: float) -> float:
    """Steps times assets per second over at least `seconds`, at the loop's present stage."""
    num_steps, start = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - start) < seconds or not num_steps:
        loop.step()
        num_steps += 1
    return num_steps * loop.num_assets / elapsed_s
