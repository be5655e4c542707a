"""Fields end as the best of their candidates, or in the class of their failure."""

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import SlotBatch, optimize_all
from dreamfoundry.distill.slot import OptimizedField
from dreamfoundry.errors import (
    EmptyField,
    FlatField,
    FullField,
    OffPrompt,
    PromptFailure,
    SeveralFaces,
)
from dreamfoundry.settings.loading import with_overrides
from support.small_loop import SMALL, assignment


@pytest.mark.parametrize(
    ("overrides", "failure"),
    [
        ({"gates.min_mean_opacity": 0.99}, EmptyField),
        ({"gates.max_mean_opacity": 0.001}, FullField),
        ({"gates.min_flatness_ratio": 1.1}, FlatField),
        ({"gates.max_several_faces_share": -0.1}, SeveralFaces),
        ({"gates.min_prompt_gain": 1.1}, OffPrompt),
    ],
)
def test_a_volume_that_a_gate_refuses_is_a_failure_with_its_class(
    overrides: dict[str, float], failure: type[PromptFailure]
) -> None:
    (result,) = optimize_all(AnalyticPrior(), with_overrides(SMALL, overrides), [assignment("red")], num_slots=1)

    assert isinstance(result.failure, failure)
    assert result.snapshot is None
    assert [one.verdict for one in result.history.candidates] == [failure.failure_class] * 2  # one restart


HALVING = with_overrides(
    SMALL, {"optimize.num_steps": 12, "looks.at": [0.25, 0.5], "looks.best_of": 3, "looks.step_budget": 3.0}
)


def test_the_best_of_three_goes_on_and_the_others_stay_behind() -> None:
    (result,) = optimize_all(AnalyticPrior(), HALVING, [assignment("red")], num_slots=1)
    candidates = result.history.candidates

    assert result.failure is None
    assert result.snapshot is not None
    assert result.snapshot.history == result.history
    assert sorted(one.num_steps for one in candidates) == [3, 6, 12]
    assert [one.verdict for one in sorted(candidates, key=lambda a: a.num_steps)] == ["outrun"] * 2 + ["chosen"]
    assert result.history.steps_spent == 21


def test_a_candidate_that_was_parked_goes_on_as_if_it_had_not_been() -> None:
    halved = SlotBatch(AnalyticPrior(), HALVING, 1)
    halved.admit(assignment("red"))
    while (slot := halved.slots[0]) is not None:
        halved.step()
        result = halved.harvest()
        if slot.step == 11:
            field, candidate = halved.fields.slot_state(0), slot.candidate
    chosen = result[0].history.chosen
    assert chosen is not None
    assert chosen.candidate == candidate

    alone = SlotBatch(AnalyticPrior(), HALVING, 1)
    alone.admit(assignment("red"))
    alone_slot = alone.slots[0]
    assert alone_slot is not None
    alone_slot.candidate = candidate
    alone._begin(0, alone_slot)
    for _ in range(11):
        alone.step()
    undisturbed = alone.fields.slot_state(0)
    assert all(torch.equal(field[name], undisturbed[name]) for name in field)


class NotANumber(AnalyticPrior):
    """Answers NaN when it is asked about green."""

    def predict_noise(self, noisy: torch.Tensor, timesteps: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
        bad = (embeds == self.mean_picture("a green ball").flatten()).all(dim=-1).view(-1, 1, 1, 1)
        return torch.where(bad, torch.nan, super().predict_noise(noisy, timesteps, embeds))


class OnlyGrey(AnalyticPrior):
    """Knows grey pictures only, whatever it is asked about green."""

    def mean_picture(self, text: str) -> torch.Tensor:
        return torch.full((3, self.picture_px, self.picture_px), 0.5) if "green" in text else super().mean_picture(text)


@pytest.mark.parametrize(
    ("prior", "min_gain", "failure_class"), [(NotANumber, -1.0, "diverged"), (OnlyGrey, 0.001, "off_prompt")]
)
def test_24_a_prompt_made_to_fail_ends_in_its_class_and_its_neighbours_keep_every_bit(
    prior: type[AnalyticPrior], min_gain: float, failure_class: str
) -> None:
    recipe = with_overrides(
        SMALL,
        {
            "optimize.num_steps": 20,
            "looks.max_restarts": 2,
            "looks.step_budget": 3.0,
            "wording.backgrounds": ["white"],
            "gates.min_prompt_gain": min_gain,
        },
    )

    def made(names: list[str]) -> dict[str, OptimizedField]:
        results = optimize_all(prior(), recipe, map(assignment, names), num_slots=3)
        return {result.assignment.prompt.prompt_id: result for result in results}

    together, without = made(["red", "green", "blue"]), made(["red", "blue"])
    failed = together["green"]

    assert failed.failure is not None
    assert failed.failure.failure_class == failure_class
    assert [(a.candidate, a.verdict) for a in failed.history.candidates] == [(n, failure_class) for n in range(3)]
    assert 0 < failed.history.steps_spent < failed.history.step_budget == 60
    for name in ("red", "blue"):
        among_all, among_good = together[name].snapshot, without[name].snapshot
        assert among_all is not None
        assert among_good is not None
        assert among_all.to_bytes() == among_good.to_bytes()
