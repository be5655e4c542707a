"""The cost of a step, counted and not timed: launches, copies, elements, calls of the prior, reads by the host.

Steps run on torch's meta device, where tensors have shapes and no values, so that they cost next to
nothing here and go the way that they go on a GPU.
"""

from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import OCCUPANCY_STEPS, SlotBatch
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.evaluation.benchmark.step_cost import StepLedger, cost_of_step
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import bundled_recipe, with_overrides
from dreamfoundry.settings.recipe import Recipe

pytest.importorskip("triton", reason="triton has wheels for Linux only; without it a step has other launches")

BEFORE_STEP = 8 * OCCUPANCY_STEPS - 1
"""After the warm-up of the toybox, when light is drawn; with the step, occupancy is brought up to date."""

LATE_STEP = 190
"""A step of the toybox in its later render phase."""

MAX_LAUNCHES = 650
"""On the device, in a step without its prior; a UNet of Stable Diffusion alone has about as many."""

MAX_MORE = 3
"""Of them with several slots, whose outputs are brought into one piece of memory."""

TOYBOX = with_overrides(bundled_recipe("toybox"), {"render.later": []})
HASH = {"field.encoding": "hash", "field.hash_grid.entries_per_level": 2**12, "field.occupancy_resolution": 32}

RECIPES = {
    "toybox": TOYBOX,
    "dreamfusion": bundled_recipe("dreamfusion"),
    "hash and occupancy": with_overrides(TOYBOX, HASH),
    "perp-neg": with_overrides(TOYBOX, {"guidance.perp_neg": True}),
}

TWO_PHASES = with_overrides(bundled_recipe("toybox"), HASH)


def full_batch(recipe: Recipe, num_slots: int) -> SlotBatch:
    batch = SlotBatch(AnalyticPrior(device="meta"), recipe, num_slots, device="meta")
    for index in range(num_slots):
        batch.admit(Assignment(Prompt(f"p{index}", "a red ball"), f"key {index}"))
        slot = batch.slots[index]
        assert slot is not None
        slot.step = BEFORE_STEP
    return batch


@cache
def cost(name: str, num_slots: int) -> StepLedger:
    return cost_of_step(RECIPES[name], [BEFORE_STEP] * num_slots)


@cache
def cost_in_two_phases(num_slots: int) -> StepLedger:
    """Every other slot is in the later phase, and none has its occupancy brought up to date."""
    return cost_of_step(TWO_PHASES, [(BEFORE_STEP - 1, LATE_STEP)[slot % 2] for slot in range(num_slots)])


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_no_value_comes_back_to_the_host_within_a_step(recipe: Recipe) -> None:
    batch = full_batch(recipe, 2)
    batch.step()  # a meta tensor has no value: to read one, or to branch on it, is an error
    with pytest.raises(NotImplementedError, match="meta tensor"):
        batch.healthy.tolist()


def test_a_step_of_slots_in_different_phases_reads_no_value_either() -> None:
    batch = full_batch(bundled_recipe("toybox"), 3)
    slot = batch.slots[1]
    assert slot is not None
    slot.step = LATE_STEP
    batch.step()
    assert {part.render.image_px for part in batch._inputs().batches} == {32, 64}


@pytest.mark.parametrize("num_slots", [1, 4, 8, 16])
@pytest.mark.parametrize("name", RECIPES)
def test_a_step_goes_to_the_device_in_one_copy_for_which_nobody_waits(name: str, num_slots: int) -> None:
    assert (cost(name, num_slots).copies, cost(name, num_slots).waits) == (1, 0)


@pytest.mark.parametrize("num_slots", [2, 4, 8, 16])
def test_slots_in_two_phases_go_to_the_device_in_one_copy_too(num_slots: int) -> None:
    assert (cost_in_two_phases(num_slots).copies, cost_in_two_phases(num_slots).waits) == (1, 0)


@pytest.mark.parametrize("name", RECIPES)
def test_the_launches_of_a_step_are_bounded_and_no_more_for_more_slots(name: str) -> None:
    assert cost(name, 1).launches <= MAX_LAUNCHES
    for num_slots in (4, 8, 16):
        assert cost(name, num_slots).launches <= cost(name, 1).launches + MAX_MORE


def test_two_phases_launch_less_than_two_steps_whatever_the_number_of_slots() -> None:
    in_one = cost_of_step(TWO_PHASES, [BEFORE_STEP - 1]).launches
    for num_slots in (4, 8, 16):
        assert cost_in_two_phases(num_slots).launches == cost_in_two_phases(4).launches < 2 * in_one


@pytest.mark.parametrize("name", RECIPES)
def test_the_work_of_a_step_is_proportional_to_its_slots(name: str) -> None:
    for num_slots in (4, 8, 16):
        assert cost(name, num_slots).num_bytes / (num_slots * cost(name, 1).num_bytes) == pytest.approx(1.0, abs=0.02)


def test_the_work_of_slots_in_two_phases_is_proportional_to_them_too() -> None:
    four = cost_in_two_phases(4).num_bytes
    for num_slots in (8, 16):
        assert cost_in_two_phases(num_slots).num_bytes / (num_slots / 4 * four) == pytest.approx(1.0, abs=0.02)


def test_only_slots_whose_occupancy_is_due_are_asked_for_it() -> None:
    recipe, ordinary = RECIPES["hash and occupancy"], BEFORE_STEP - 1
    base = cost_of_step(recipe, [ordinary] * 4).num_bytes
    one, all_of_them = (
        cost_of_step(recipe, [*[BEFORE_STEP] * due, *[ordinary] * (4 - due)]).num_bytes - base for due in (1, 4)
    )
    assert all_of_them / one == pytest.approx(4.0, rel=0.02)


def test_the_gradient_of_a_table_is_made_once_and_never_added_to_another() -> None:
    recipe = RECIPES["hash and occupancy"]
    batch = full_batch(recipe, 2)
    table = batch.fields.parameters()["table"].shape
    with TensorsMade(table) as made:
        batch.step()
    assert (made.counts["aten::new_zeros"], made.counts["aten::add"]) == (1, 0)


class TensorsMade(TorchDispatchMode):
    """Counts of the operations that make a tensor of a shape."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.counts: Counter[str] = Counter()
        self._shape = shape

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.counts[func._schema.name] += isinstance(result, torch.Tensor) and result.shape == self._shape
        return result


def test_the_next_step_is_drawn_before_this_one_ends() -> None:
    batch = full_batch(TOYBOX, 2)
    assert batch.slots[0] is not None
    batch.slots[0].step = 0
    batch.step()
    drawn = batch.slots[0].ahead
    assert drawn is not None
    assert drawn.step == 1
    assert batch._inputs().batches[0].origins.shape[0] == 2


def test_a_step_asks_the_prior_once_for_any_number_of_slots() -> None:
    for num_slots in (1, 3):
        batch = full_batch(TOYBOX, num_slots)
        batch.step()
        assert isinstance(batch.prior, AnalyticPrior)
        assert batch.prior.num_predictions == 1
