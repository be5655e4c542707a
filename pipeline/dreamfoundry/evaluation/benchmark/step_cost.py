"""Cost of a step on a GPU, counted without one: launches, copies from the host, bytes.

    python -m dreamfoundry.evaluation.benchmark.step_cost      # the table of docs/benchmarks, in Markdown

A step runs on torch's meta device, where tensors have shapes and no values, so it goes the way that it goes on a
GPU with kernels and costs next to nothing. Calls of the prior are left out: it has its own graphs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import OCCUPANCY_STEPS, SlotBatch
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import bundled_recipe, with_overrides
from dreamfoundry.settings.recipe import Recipe

NUM_SLOTS = (1, 4, 8, 16)

LATER = {"render.later": [{"from_fraction": 0.7, "image_px": 96, "samples_per_ray": 96}]}
"""A second render phase; in the table every other slot has reached it."""

MOVES = ("aten::_to_copy", "aten::copy_")
"""Operations that copy from the host to a device; one that the host does not wait for says `non_blocking`."""


class StepLedger(TorchDispatchMode):
    """Counts of everything that torch is asked for while it is on, but within `aside`.

    `launches` are operations on the device, without views of tensors that there are; a copy from the host is
    counted apart, and `waits` are those copies that leave the host waiting until the device is idle.
    `elements` and `num_bytes` are what the launches read and write, every operand in full.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.launches = self.copies = self.waits = self.elements = self.num_bytes = self.host_operations = 0
        self._is_aside = False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave out what happens within."""
        self._is_aside = True
        yield
        self._is_aside = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self._is_aside:
            given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
            self._count(func, given, made, is_awaited=not _is_non_blocking(func, args, kwargs or {}))
        return result

    def _count(self, func: Any, given: list[Tensor], made: list[Tensor], is_awaited: bool) -> None:
        touched = [tensor for tensor in (*given, *made) if tensor.is_meta]
        if not touched and func.namespace != "dreamfoundry":
            self.host_operations += 1
            return

        # a number from the host travels with the launch; an index, or a tensor to be copied, does not
        is_move = func._schema.name in MOVES
        moved = sum(not tensor.is_meta and (tensor.dim() > 0 or is_move) for tensor in given)
        self.copies += moved
        self.waits += moved * is_awaited
        if moved and is_move:
            return
        if not _is_view(func) and not func._schema.name.startswith(("aten::empty", "aten::new_empty")):
            self.launches += 1
            self.elements += sum(tensor.numel() for tensor in touched)
            self.num_bytes += sum(tensor.nbytes for tensor in touched)


def _is_view(func: Any) -> bool:
    """True if its result is its argument in another shape, which needs no kernel."""
    aliases = [result.alias_info for result in func._schema.returns]
    return func._schema.name == "aten::_unsafe_view" or any(alias and not alias.is_write for alias in aliases)


def _is_non_blocking(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    names = [argument.name for argument in func._schema.arguments]
    return bool({**dict(zip(names, args, strict=False)), **kwargs}.get("non_blocking", False))


class _PriorAside(AnalyticPrior):
    """A prior whose calls are in no ledger, and whose embeddings have a shape only."""

    def __init__(self, picture_px: int, ledger: StepLedger) -> None:
        super().__init__(picture_px, device="meta")
        self._ledger = ledger

    def encode_prompts(self, texts: Sequence[str]) -> Tensor:
        return torch.empty(len(texts), 1, 3 * self.picture_px**2, device="meta")

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        with self._ledger.aside():
            return super().encode_pictures(pictures)

    def predict_noise(self, noisy: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        with self._ledger.aside():
            return super().predict_noise(noisy, timesteps, embeds)


def cost_of_step(recipe: Recipe, steps: Sequence[int]) -> StepLedger:
    """One step of a slot at each of these steps of its run."""
    ledger = StepLedger()
    batch = SlotBatch(_PriorAside(recipe.render.image_px, ledger), recipe, len(steps), device="meta")
    for index, step in enumerate(steps):
        batch.admit(Assignment(Prompt(f"p{index}", "a red ball"), f"key {index}"))
        slot = batch.slots[index]
        assert slot is not None
        slot.step = step
    with ledger:
        batch.step()
    return ledger


@dataclass(frozen=True)
class Case:
    """A recipe, and the steps that its slots are at, one after the other and again from the first."""

    recipe: Recipe
    steps: tuple[int, ...]

    def cost(self, num_slots: int) -> StepLedger:
        return cost_of_step(self.recipe, [self.steps[slot % len(self.steps)] for slot in range(num_slots)])


def cases() -> dict[str, Case]:
    """The lines of the table: DreamFusion's recipe on a hash grid, at an ordinary step and at others."""
    recipe = bundled_recipe("dreamfusion_hash")
    late = round(0.8 * recipe.optimize.num_steps)
    ordinary, renewed = late - late % OCCUPANCY_STEPS, late - late % OCCUPANCY_STEPS - 1
    return {
        "one phase": Case(recipe, (ordinary,)),
        "one phase, occupancy renewed for one slot in four": Case(recipe, (renewed, *[ordinary] * 3)),
        "two phases": Case(with_overrides(recipe, LATER), (ordinary // 2, ordinary)),
    }


def table(num_slots: Sequence[int] = NUM_SLOTS) -> str:
    """Every case with every number of slots, in Markdown."""
    lines = [
        "| case | K | launches | copies | of them awaited | GB read and written | host operations a slot |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, case in cases().items():
        for count in num_slots:
            cost = case.cost(count)
            lines.append(
                f"| {name} | {count} | {cost.launches} | {cost.copies} | {cost.waits} | {cost.num_bytes / 1e9:.1f} "
                f"| {cost.host_operations / count:.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    argparse.ArgumentParser(
        description="Counts the launches, copies and bytes of a step on a GPU, without one."
    ).parse_args()
    sys.stdout.write(table() + "\n")
