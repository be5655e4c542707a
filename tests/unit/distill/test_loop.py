"""The main loop: one prior call for all slots, neighbours that never touch, clear endings."""

import dataclasses

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import SlotBatch, optimize_all
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.errors import (
    OptimizationDiverged,
)
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe
from support.small_loop import SMALL, assignment


def state_after(steps: int, names: list[str], watched: int, num_slots: int = 3) -> dict[str, torch.Tensor]:
    batch = SlotBatch(AnalyticPrior(), SMALL, num_slots)
    for name in names:
        batch.admit(assignment(name))
    for _ in range(steps):
        batch.step()
    return batch.fields.slot_state(watched)


@pytest.mark.parametrize("num_slots", [1, 2, 4])
def test_a_step_makes_one_prior_call_however_many_slots_there_are(num_slots: int) -> None:
    prior = AnalyticPrior()
    batch = SlotBatch(prior, SMALL, num_slots)
    for index in range(num_slots):
        batch.admit(assignment(f"p{index}"))
    for _ in range(3):
        batch.step()

    assert prior.num_predictions == 3


def test_a_text_is_encoded_once_per_asset() -> None:
    prior = AnalyticPrior()
    list(optimize_all(prior, SMALL, [assignment("red"), assignment("blue")], num_slots=1))

    assert prior.num_encodings == 2


def test_a_slot_does_not_depend_on_its_neighbours_bit_for_bit() -> None:
    alone = state_after(4, ["red"], watched=0)
    crowded = state_after(4, ["red", "green", "blue"], watched=0)

    assert all(torch.equal(alone[name], crowded[name]) for name in alone)


def test_one_seed_makes_the_same_field_alone_and_among_sixteen() -> None:
    names = ["red", *(f"neighbour {index}" for index in range(15))]
    start = state_after(0, ["red"], watched=0, num_slots=1)
    alone = state_after(6, ["red"], watched=0, num_slots=1)
    among = state_after(6, names, watched=0, num_slots=16)
    for name in alone:
        moved = (alone[name] - start[name]).norm()
        assert (alone[name] - among[name]).norm() <= 1e-3 * moved, "another number of rows rounds otherwise"


LATER = with_overrides(
    SMALL, {"render.later": [{"from_fraction": 0.5, "image_px": 32, "samples_per_ray": 20}], "optimize.num_steps": 8}
)


def test_pictures_grow_in_their_phase_and_the_prior_is_still_asked_once() -> None:
    prior, sizes = AnalyticPrior(), []
    batch = SlotBatch(prior, LATER, 2)
    batch.admit(assignment("red"))
    for _ in range(8):
        sizes.append(batch._inputs().batches[0].render.image_px)
        batch.step()

    assert sizes == [16] * 4 + [32] * 4
    assert prior.num_predictions == 8


def test_neighbours_in_different_phases_do_not_touch_one_another() -> None:
    def field_of_red(late_neighbour: bool) -> dict[str, torch.Tensor]:
        batch = SlotBatch(AnalyticPrior(), LATER, 2)
        batch.admit(assignment("red"))
        if late_neighbour:
            batch.admit(assignment("blue"))
            neighbour = batch.slots[1]
            assert neighbour is not None
            neighbour.step = 6
        for _ in range(2):
            batch.step()
        return batch.fields.slot_state(0)

    alone, beside = field_of_red(False), field_of_red(True)
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


def test_slots_rendered_one_by_one_move_as_if_together() -> None:
    one_by_one = with_overrides(
        SMALL, {"render.later": [{"from_fraction": 0.99, "image_px": 16, "samples_per_ray": 12}]}
    )

    def table(recipe: Recipe) -> torch.Tensor:
        batch = SlotBatch(AnalyticPrior(), recipe, 2)
        batch.admit(assignment("red"))
        batch.admit(assignment("blue"))
        for _ in range(3):
            batch.step()
        return batch.fields.parameters()["table"].detach()

    torch.testing.assert_close(table(one_by_one), table(SMALL))


def test_seeds_begin_with_blobs_of_different_shapes() -> None:
    recipe = with_overrides(SMALL, {"field.density_blob_variety": 0.3})
    batch = SlotBatch(AnalyticPrior(), recipe, 2)
    batch.admit(assignment("red"))
    batch.admit(assignment("blue"))
    first, second = (batch.fields.slot_state(slot)["blob_stretch"] for slot in range(2))

    assert not torch.equal(first, second)
    assert (first - 1.0).abs().max() <= 0.3


def test_a_slot_that_diverges_stops_before_the_update_and_leaves_its_neighbours_alone() -> None:
    batch = SlotBatch(AnalyticPrior(), with_overrides(SMALL, {"looks.max_restarts": 0}), 3)
    for name in ("red", "green", "blue"):
        batch.admit(assignment(name))
    batch.step()
    with torch.no_grad():
        batch.fields.parameters()["table"][1] = float("nan")
    for _ in range(3):
        batch.step()
    undisturbed = state_after(4, ["red", "green", "blue"], watched=0)

    assert all(torch.equal(batch.fields.slot_state(0)[name], undisturbed[name]) for name in undisturbed)
    results = []
    while batch.num_live:
        batch.step()
        results += batch.harvest()
    by_name = {result.assignment.prompt.prompt_id: result for result in results}
    assert isinstance(by_name["green"].failure, OptimizationDiverged)
    assert by_name["red"].failure is None
    assert by_name["blue"].failure is None


def test_draws_follow_from_identity_not_from_order() -> None:
    first = state_after(3, ["red", "green"], watched=1, num_slots=2)
    second = state_after(3, ["blue", "green"], watched=1, num_slots=2)

    assert torch.equal(first["table"], second["table"])
    assert not torch.equal(first["table"], state_after(3, ["red", "blue"], watched=1, num_slots=2)["table"])


def test_more_assignments_than_slots_all_end_and_places_are_refilled_at_once() -> None:
    names = [f"p{index}" for index in range(5)]
    prior = AnalyticPrior()
    results = list(optimize_all(prior, SMALL, map(assignment, names), num_slots=2))

    assert sorted(result.assignment.prompt.prompt_id for result in results) == names
    assert all(result.history.steps_spent == 6 for result in results)
    looks = len(names) * 2 * 3 * len(SMALL.probes.timesteps)  # an early one and the last, three wordings each
    assert prior.num_predictions == 3 * 6 + looks  # two, two, then one: three rounds of six steps


def test_an_analytic_prior_turns_the_blob_into_a_ball_of_its_color() -> None:
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


def test_a_step_without_a_live_slot_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="admit an assignment"):
        SlotBatch(AnalyticPrior(), SMALL, 1).step()
