"""The baseline of the benchmark is the product's own mathematics, only slower."""

import dataclasses

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.evaluation.benchmark.baseline import SAMPLES_PER_RAY, GridSampleFields, OnePrompt, baseline_recipe
from dreamfoundry.identity import recipe_digest
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import bundled_recipe, with_overrides
from dreamfoundry.settings.recipe import Recipe

RECIPE = with_overrides(
    Recipe(),
    {
        "optimize.num_steps": 8,
        "optimize.views_per_step": 2,
        "render.image_px": 16,
        "render.samples_per_ray": 12,
        "render.later": [{"from_fraction": 0.5, "image_px": 24, "samples_per_ray": 10}],
        "field.level_resolutions": [5, 8],
        "field.hidden_width": 8,
        "shading.albedo_only_until_fraction": 0.0,
    },
)
ASSIGNMENT = Assignment(Prompt("p", "a red ball"), "key")


def table_of_the_baseline(fields_class: type[RadianceFields]) -> torch.Tensor:
    fields = fields_class(RECIPE.field, 1)
    alone = OnePrompt(AnalyticPrior(), RECIPE, ASSIGNMENT, fields)
    for _ in range(6):
        alone.step()
    return fields.parameters()["table"].detach()


@pytest.mark.parametrize("fields_class", [RadianceFields, GridSampleFields])
def test_it_optimises_as_a_batch_with_one_slot_does(fields_class: type[RadianceFields]) -> None:
    batch = SlotBatch(AnalyticPrior(), RECIPE, 1)
    batch.admit(ASSIGNMENT)
    start = batch.fields.parameters()["table"].detach().clone()
    for _ in range(6):
        batch.step()
    ours = batch.fields.parameters()["table"].detach()

    moved = (ours - start).abs().mean()
    difference = (table_of_the_baseline(fields_class) - ours).abs().mean()
    assert difference < 0.02 * moved


def test_a_grid_read_by_grid_sample_has_the_same_features_and_gradients() -> None:
    config = dataclasses.replace(RECIPE.field, bound=0.85)
    points = (torch.rand(2, 50, 3, dtype=torch.float64) * 2.0 - 1.0) * 0.85
    results = []
    for fields_class in (RadianceFields, GridSampleFields):
        fields = fields_class(config, 2, dtype=torch.float64)
        for slot in range(2):
            fields.init_slot(slot, torch.Generator().manual_seed(slot))
        features = fields.encode(points)
        weight = torch.linspace(0.0, 1.0, features.numel(), dtype=torch.float64).view_as(features)
        (gradient,) = torch.autograd.grad((features * weight).sum(), fields.parameters()["table"])
        results.append((features, gradient))
    torch.testing.assert_close(results[1], results[0])


def test_every_step_leaves_a_line_in_the_log_and_may_decode() -> None:
    decoded: list[tuple[int, ...]] = []
    fields = RadianceFields(RECIPE.field, 1)
    alone = OnePrompt(
        AnalyticPrior(), RECIPE, ASSIGNMENT, fields, decode=lambda latents: decoded.append(tuple(latents.shape))
    )
    alone.step()
    alone.step()
    assert decoded == [(2, 3, 16, 16)] * 2
    assert len(alone.log) == 2
    assert all(0.0 < line["mean_opacity"] < 1.0 for line in alone.log)


def test_its_recipe_has_many_samples_in_all_stages_and_skips_nothing() -> None:
    toybox = with_overrides(bundled_recipe("toybox"), {"field.occupancy_resolution": 32})
    recipe = baseline_recipe(toybox)
    assert [recipe.render.at(done).samples_per_ray for done in (0.0, 0.69, 0.71)] == [SAMPLES_PER_RAY] * 3
    assert [recipe.render.at(done).image_px for done in (0.0, 0.71)] == [32, 64]
    assert recipe.field.occupancy_resolution == 0
    assert recipe_digest(recipe) == recipe_digest(baseline_recipe(recipe))
