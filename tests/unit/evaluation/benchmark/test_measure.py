"""The benchmark measures what it names: parts of steps, stages by their length, nothing else."""

import dataclasses
import subprocess
import sys
import time
from typing import Any

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.evaluation.benchmark.ceilings import prior_flop
from dreamfoundry.evaluation.benchmark.measure import (
    BASELINE,
    DECODING_BASELINE,
    FACTORS,
    Case,
    Loop,
    measure,
    slots_case,
    stage_times,
    steps_per_s,
)
from dreamfoundry.host.child_process import package_environment
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

SETTINGS: dict[str, Any] = {
    "optimize.num_steps": 100,
    "optimize.views_per_step": 1,
    "render.image_px": 8,
    "render.samples_per_ray": 4,
    "field.level_resolutions": [4],
    "field.hidden_width": 4,
    "snapshot.grid_resolution": 16,
    "snapshot.num_views": 2,
    "snapshot.view_px": 8,
}
STAGE = {"from_fraction": 0.75, "image_px": 16, "samples_per_ray": 5}
SMALL = with_overrides(Recipe(), {**SETTINGS, "render.later": [STAGE]})

ONE_STAGE = dataclasses.replace(SMALL, render=SMALL.render.at(0.0))

CALL_S = 0.05


class SlowPrior(AnalyticPrior):
    """Takes a known time for each prediction and twice of it on the way back from the latents."""

    def predict_noise(self, *arguments: Any) -> torch.Tensor:
        time.sleep(CALL_S)
        return super().predict_noise(*arguments)

    def encode_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        latents = super().encode_pictures(_SlowBackward.apply(pictures))  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return latents


class _SlowBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        time.sleep(2 * CALL_S)
        return gradients[0]


@pytest.mark.parametrize("case", [BASELINE, slots_case(2)], ids=["baseline", "slots"])
def test_the_time_of_the_prior_is_that_of_its_predictions_and_of_both_ways_to_the_latents(case: Any) -> None:
    loop = Loop(case, SlowPrior(8), ONE_STAGE)
    loop.step()
    parts = loop.step()
    assert 3 * CALL_S <= parts["prior"] < parts["whole"]
    assert 0.0 < parts["optimizer"] < parts["whole"] - parts["prior"]


@pytest.mark.parametrize("case", FACTORS, ids=lambda case: case.name)
def test_the_baseline_of_a_hash_recipe_has_levels_of_its_own(case: Case) -> None:
    hash_grid = {"field.encoding": "hash", "field.hash_grid.entries_per_level": 256, "field.hash_grid.num_levels": 7}
    fading = {"field.level_resolutions": [4, 5, 6], "field.all_levels_from_fraction": 0.5}
    recipe = with_overrides(ONE_STAGE, {**hash_grid, **fading})
    assert Loop(case, AnalyticPrior(8), recipe).step()["whole"] > 0.0


def test_a_decode_that_nobody_looks_at_is_work_of_the_prior() -> None:
    loop = Loop(DECODING_BASELINE, AnalyticPrior(8), ONE_STAGE, decode=lambda latents: time.sleep(CALL_S))
    assert loop.step()["prior"] >= CALL_S
    with pytest.raises(ValueError, match="must come with decode"):
        Loop(DECODING_BASELINE, AnalyticPrior(8), ONE_STAGE)


def test_every_stage_is_measured_around_its_middle_and_counts_by_its_length() -> None:
    loop = Loop(slots_case(1), AnalyticPrior(8), SMALL)
    first, last = stage_times(loop, warm_up=2, num_steps=4)
    assert (first.share, first.image_px, first.samples_per_ray) == (0.75, 8, 4)
    assert (last.share, last.image_px, last.samples_per_ray) == (0.25, 16, 5)
    assert len(first.steps_s) == len(last.steps_s) == 4

    figures = measure(slots_case(2), AnalyticPrior(8), SMALL, warm_up=1, num_steps=3)
    by_hand = sum(
        stage["share"] * sum(step["whole"] for step in stage["steps_s"]) / 3 / 2 for stage in figures["stages"]
    )
    assert figures["step_s"] == pytest.approx(by_hand)
    assert figures["optimize_s"] == pytest.approx(100 * by_hand + figures["snapshot_s"])
    assert figures["prior_s"] + figures["optimizer_s"] + figures["rest_s"] == pytest.approx(figures["step_s"])


def test_the_cases_lead_from_the_baseline_to_the_main_loop_one_change_at_a_time() -> None:
    assert FACTORS[0] is BASELINE
    changes = [(case.own_samples, case.own_field) for case in FACTORS]
    assert changes == [(False, False), (True, False), (True, True)]
    samples = [Loop(case, AnalyticPrior(8), SMALL).recipe.render.samples_per_ray for case in FACTORS]
    assert samples == [512, 4, 4]


def test_a_rate_counts_every_asset_of_a_step() -> None:
    loop = Loop(slots_case(3), SlowPrior(8), ONE_STAGE)
    start_s = time.perf_counter()
    rate = steps_per_s(loop, 0.01)
    assert rate * (time.perf_counter() - start_s) == pytest.approx(3.0, rel=0.1), "one step of three assets"


def test_the_work_of_a_prior_is_counted_by_its_products() -> None:
    class OneProduct(AnalyticPrior):
        def predict_noise(self, noisy: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            return noisy @ torch.zeros(16, 16)

    rows, channels, side = 2 * 3, 3, 16
    assert prior_flop(OneProduct(16), num_views=3, texts=2, image_px=16) == 2 * rows * channels * side**3


WITHOUT = ("ray", "boto3", "botocore", "trimesh", "pygltflib", "manifold3d", "xatlas", "embreex", "fast_simplification")


def test_the_engine_and_its_benchmark_need_neither_ray_nor_what_the_store_and_the_export_need() -> None:
    program = f"""
import sys
sys.modules.update(dict.fromkeys({WITHOUT}))  # an import of them is an error
from dreamfoundry.evaluation.benchmark.measure import BASELINE, measure, slots_case
from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.settings.loading import resolve_recipe
recipe = resolve_recipe("toybox", {[f"{key}={value}" for key, value in SETTINGS.items()]})
for case in (BASELINE, slots_case(2)):
    print(measure(case, AnalyticPrior(8), recipe, warm_up=0, num_steps=1)["step_s"] > 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=package_environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\nTrue\n", done.stderr
