"""The cost of a step, counted and not timed: operations, elements, calls of the prior, reads by the host.

Steps run on torch's meta device, where tensors have shapes and no values, so that they cost next to
nothing here and go the way that they go on a GPU.
"""

from functools import cache
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import OCCUPANCY_STEPS, SlotBatch
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import bundled_recipe, with_overrides
from dreamfoundry.settings.recipe import Recipe

BEFORE_STEP = 8 * OCCUPANCY_STEPS - 1
"""After the warm-up of the toybox, when light is drawn; with the step, occupancy is brought up to date."""

MAX_OPERATIONS = 1200
"""On the device, in a step without its prior; a UNet of Stable Diffusion alone has about as many."""

MAX_OPERATIONS_PER_SLOT = 10
"""More of them for each slot more: what was drawn for it goes to the device."""

TOYBOX = with_overrides(bundled_recipe("toybox"), {"render.later": []})
"""Slots with later render phases are rendered one by one, so their operations grow with the number of slots."""

RECIPES = {
    "toybox": TOYBOX,
    "dreamfusion": bundled_recipe("dreamfusion"),
    "hash and occupancy": with_overrides(TOYBOX, {"field.encoding": "hash", "field.occupancy_resolution": 32}),
}


class Ledger(TorchDispatchMode):
    """Counts the operations that reach the device, and the elements that they read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.num_operations = 0
        self.num_elements = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        touched = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        on_device = [tensor.numel() for tensor in touched if tensor.device.type == "meta"]
        self.num_operations += bool(on_device)
        self.num_elements += sum(on_device)
        return result


def full_batch(recipe: Recipe, num_slots: int) -> SlotBatch:
    batch = SlotBatch(AnalyticPrior(device="meta"), recipe, num_slots, device="meta")
    for index in range(num_slots):
        batch.admit(Assignment(Prompt(f"p{index}", "a red ball"), f"key {index}"))
        slot = batch.slots[index]
        assert slot is not None
        slot.step = BEFORE_STEP
    return batch


@cache
def cost_of_a_step(name: str, num_slots: int) -> Ledger:
    batch = full_batch(RECIPES[name], num_slots)
    ledger = Ledger()
    with ledger:
        batch.step()
    return ledger


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
    slot.step = 190
    batch.step()
    assert {part.render.image_px for part in batch._inputs().batches} == {32, 64}


@pytest.mark.parametrize("name", RECIPES)
def test_the_operations_of_a_step_are_bounded_and_hardly_more_for_more_slots(name: str) -> None:
    one, four = cost_of_a_step(name, 1).num_operations, cost_of_a_step(name, 4).num_operations
    assert one <= MAX_OPERATIONS
    assert four - one <= 3 * MAX_OPERATIONS_PER_SLOT


@pytest.mark.parametrize("name", RECIPES)
def test_the_work_of_a_step_is_proportional_to_its_slots(name: str) -> None:
    one = cost_of_a_step(name, 1).num_elements
    for num_slots in (2, 4):
        assert cost_of_a_step(name, num_slots).num_elements / (num_slots * one) == pytest.approx(1.0, abs=0.1)


def test_a_step_asks_the_prior_once_for_any_number_of_slots() -> None:
    for num_slots in (1, 3):
        batch = full_batch(TOYBOX, num_slots)
        batch.step()
        assert isinstance(batch.prior, AnalyticPrior)
        assert batch.prior.num_predictions == 1
