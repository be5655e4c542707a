"""The main loop: one prior call for all slots, neighbours that never touch, clear endings."""

import dataclasses

import numpy as np
import pytest
import torch

from dreamfoundry.config import Recipe
from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.errors import EmptyField, FullField, OptimizationDiverged
from dreamfoundry.optimize import Assignment, SlotBatch, optimize_all
from dreamfoundry.recipes import with_overrides
from dreamfoundry.records import Prompt

SMALL = with_overrides(
    Recipe(),
    {
        "optimize.num_steps": 6,
        "optimize.views_per_step": 2,
        "optimize.warmup_fraction": 0.1,
        "render.image_px": 16,
        "render.samples_per_ray": 12,
        "field.level_resolutions": [8],
        "field.hidden_width": 8,
        "snapshot.grid_resolution": 16,
        "snapshot.num_views": 2,
        "snapshot.view_px": 16,
        "gates.min_mean_opacity": 0.0,
        "gates.max_mean_opacity": 1.0,
    },
)


def assignment(name: str, candidate: int = 0) -> Assignment:
    return Assignment(Prompt(name, f"a {name} ball"), field_key=f"key of {name}", candidate=candidate)


def state_after(steps: int, names: list[str], watched: int, num_slots: int = 3) -> dict[str, torch.Tensor]:
    batch = SlotBatch(AnalyticPrior(), SMALL, num_slots)
    for name in names:
        batch.admit(assignment(name))
    for _ in range(steps):
        batch.step()
    return batch.fields.slot_state(watched)


@pytest.mark.parametrize("num_slots", [1, 2, 4])
def test_a_step_makes_one_prior_call_however_many_slots_there_are(num_slots):
    prior = AnalyticPrior()
    batch = SlotBatch(prior, SMALL, num_slots)
    for index in range(num_slots):
        batch.admit(assignment(f"p{index}"))
    for _ in range(3):
        batch.step()

    assert prior.num_predictions == 3


def test_a_text_is_encoded_once_per_asset():
    prior = AnalyticPrior()
    list(optimize_all(prior, SMALL, [assignment("red"), assignment("blue")], num_slots=1))

    assert prior.num_encodings == 2


def test_a_slot_does_not_depend_on_its_neighbours_bit_for_bit():
    alone = state_after(4, ["red"], watched=0)
    crowded = state_after(4, ["red", "green", "blue"], watched=0)

    assert all(torch.equal(alone[name], crowded[name]) for name in alone)


def test_a_slot_that_diverges_stops_before_the_update_and_leaves_its_neighbours_alone():
    batch = SlotBatch(AnalyticPrior(), SMALL, 3)
    for name in ("red", "green", "blue"):
        batch.admit(assignment(name))
    batch.step()
    with torch.no_grad():
        batch.fields.parameters()["table"][1] = float("nan")
    for _ in range(3):
        batch.step()
    undisturbed = state_after(4, ["red", "green", "blue"], watched=0)

    assert all(torch.equal(batch.fields.slot_state(0)[name], undisturbed[name]) for name in undisturbed)
    while batch.num_live == 3:
        batch.step()
        results = batch.harvest()
    by_name = {result.assignment.prompt.prompt_id: result for result in results}
    assert isinstance(by_name["green"].failure, OptimizationDiverged)
    assert by_name["red"].failure is None and by_name["blue"].failure is None


def test_draws_follow_from_identity_and_candidate_not_from_order():
    first = state_after(3, ["red", "green"], watched=1, num_slots=2)
    second = state_after(3, ["blue", "green"], watched=1, num_slots=2)
    batch = SlotBatch(AnalyticPrior(), SMALL, 2)
    batch.admit(assignment("blue"))
    batch.admit(assignment("green", candidate=1))
    for _ in range(3):
        batch.step()

    assert torch.equal(first["table"], second["table"])
    assert not torch.equal(batch.fields.slot_state(1)["table"], second["table"])


def test_more_assignments_than_slots_all_end_and_places_are_refilled_at_once():
    names = [f"p{index}" for index in range(5)]
    prior = AnalyticPrior()
    results = list(optimize_all(prior, SMALL, map(assignment, names), num_slots=2))

    assert sorted(result.assignment.prompt.prompt_id for result in results) == names
    assert all(result.num_steps == 6 for result in results)
    assert prior.num_predictions == 3 * 6  # two, two, then one: three rounds of six steps


def test_an_analytic_prior_turns_the_blob_into_a_ball_of_its_color():
    recipe = with_overrides(
        SMALL,
        {
            "optimize.num_steps": 100,
            "optimize.table_rate": 0.05,
            "optimize.head_rate": 0.01,
            "guidance.guidance_scale": 2.0,
            "shading.lit_probability": 0.0,
        },
    )
    red = torch.ones(3, 16, 16)
    red[1:, 4:12, 4:12] = 0.1
    views = ("front", "side", "back", "overhead")
    prior = AnalyticPrior(16, mean_pictures={f"a ball, {view} view": red for view in views})
    recipe = dataclasses.replace(
        recipe, wording=dataclasses.replace(recipe.wording, backgrounds=("white",), unconditional="")
    )
    (result,) = optimize_all(prior, recipe, [Assignment(Prompt("ball", "a ball"), "ball")], num_slots=1)
    assert result.snapshot is not None
    covered = result.snapshot.view_opacity > 200
    mean = result.snapshot.view_rgb[covered].mean(axis=0) / 255.0

    assert mean[0] > 0.7 > 0.4 > mean[1]


@pytest.mark.parametrize(
    ("overrides", "failure"),
    [({"gates.min_mean_opacity": 0.99}, EmptyField), ({"gates.max_mean_opacity": 0.001}, FullField)],
)
def test_an_empty_and_a_full_volume_are_failures_with_their_class(overrides, failure):
    (result,) = optimize_all(AnalyticPrior(), with_overrides(SMALL, overrides), [assignment("red")], num_slots=1)

    assert isinstance(result.failure, failure)
    assert result.snapshot is None


def test_a_step_without_a_live_slot_says_what_is_missing():
    with pytest.raises(RuntimeError, match="admit an assignment"):
        SlotBatch(AnalyticPrior(), SMALL, 1).step()


def test_a_rate_warms_up_and_then_falls_to_its_final_share():
    batch = SlotBatch(AnalyticPrior(), with_overrides(SMALL, {"optimize.num_steps": 100}), 1)
    batch.admit(assignment("red"))
    slot = batch.slots[0]
    shares = []
    for step in range(100):
        slot.step = step
        shares.append(batch._rate_share(slot))

    assert np.argmax(shares) in range(8, 13)
    assert shares[0] < 0.2 and max(shares) <= 1.0
    assert shares[-1] == pytest.approx(0.01, abs=1e-3)
