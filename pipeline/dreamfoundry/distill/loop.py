"""The main loop: K slots share one prior, each slot distils one prompt into one field.

    batch = SlotBatch(prior, recipe, num_slots=4)
    batch.admit(Assignment(prompt, field_key))
    while batch.num_live:
        batch.step()                      # one render, ONE prior call, one update for all slots
        for result in batch.harvest():    # probes the candidates that are due; assignments that are
            ...                           # finished or given up leave, and their slots are free again

A slot works on one assignment: it optimises one candidate of it after another, as `distill.successive_halving` decides.
In a run, `run.workers.distiller` turns this loop, and admits new assignments between two steps.

Lifetimes: the prior outlives the batch; fields, moments, embeddings and generators live as long as
an assignment; cameras, rays and noise as long as a step.

Dimension key:  K slots · V views per slot · B = K V views, slot-major · H pixels per side · R = V H H rays
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from dreamfoundry.diffusion.guidance import distill, distillation_gradient
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.prompts import encode, gather_embeds
from dreamfoundry.distill.candidate_events import log_probe
from dreamfoundry.distill.checkpoint import CandidateState, Checkpoint
from dreamfoundry.distill.lr_schedule import lr_multiplier, progress_at
from dreamfoundry.distill.probes import gate_candidate, probe_field
from dreamfoundry.distill.slot import Assignment, OptimizedField, Slot
from dreamfoundry.distill.step.field_step import AroundPrior, FieldStep
from dreamfoundry.distill.step.inputs import SlotDraw, SlotRates, StepInputs, draw_slot, noise_shape_of, step_inputs
from dreamfoundry.distill.step.replay import StepRecorder, StepReplay
from dreamfoundry.distill.successive_halving import Finish, GiveUp, SuccessiveHalving
from dreamfoundry.errors import OptimizationDiverged, PromptFailure
from dreamfoundry.identity import seed_for
from dreamfoundry.nerf.snapshot import take_snapshot
from dreamfoundry.records import NO_HISTORY, FieldSnapshot
from dreamfoundry.settings.recipe import Recipe

HEALTH_CHECK_STEPS = 10
"""Steps between two reads of the health flags; each read copies K numbers to the host."""

OCCUPANCY_STEPS = 16
"""Steps of a slot between two updates of its occupancy grid, as in instant-ngp."""


class SlotBatch:
    """K slots under one recipe and one prior; K = 1 is the ordinary case.

    A step always computes K slots; free ones are rendered along with the others and masked out of
    the update, so shapes never change and a slot's numbers do not depend on its neighbours. With a
    `recorder` the part of a step around the prior is recorded and replayed.
    """

    def __init__(
        self,
        prior: ScorePrior,
        recipe: Recipe,
        num_slots: int,
        device: str = "cpu",
        recorder: StepRecorder | None = None,
    ) -> None:
        self.prior, self.recipe, self.device = prior, recipe, torch.device(device)
        self.slots: list[Slot | None] = [None] * num_slots
        self.field_step = FieldStep(recipe, num_slots, prior.picture_px, device)
        self.fields, self.adam, self.healthy = self.field_step.fields, self.field_step.adam, self.field_step.healthy
        self._around_prior: AroundPrior = StepReplay(self.field_step, recorder) if recorder else self.field_step
        self.noise_shape = noise_shape_of(prior, recipe, device)
        self.embeds: Tensor | None = None  # [K, rows, L, D], from the first assignment on

    @property
    def num_live(self) -> int:
        return sum(slot is not None for slot in self.slots)

    @property
    def num_free(self) -> int:
        return len(self.slots) - self.num_live

    def admit(self, assignment: Assignment, checkpoint: Checkpoint | None = None) -> None:
        """Start an assignment in a free slot, or go on with it from `checkpoint`.

        Raises PromptFailure if its text cannot be encoded.
        """
        index = self.slots.index(None)
        embeds = encode(self.prior, assignment.prompt, self.recipe.wording)
        probes, num_steps = self.recipe.probes, self.recipe.optimize.num_steps
        if checkpoint is None:
            halving = SuccessiveHalving(probes, num_steps)
            slot = Slot(assignment, embeds, halving, halving.start(), torch.Generator())
        else:
            halving = SuccessiveHalving(probes, num_steps, checkpoint.candidates)
            slot = Slot(assignment, embeds, halving, checkpoint.candidate, torch.Generator())
            slot.parked, slot.earlier_s = dict(checkpoint.states), checkpoint.optimize_s
        self.slots[index] = slot
        rows = embeds.rows
        if self.embeds is None:
            self.embeds = rows.new_zeros(len(self.slots), *rows.shape)
        self.embeds[index] = rows
        self._begin(index, slot)

    def checkpoint(self, index: int) -> Checkpoint | None:
        """A copy of the state of a slot, on the host; None if it is free or has just diverged."""
        slot = self.slots[index]
        if slot is None or not self.healthy[index]:
            return None
        states = {**slot.parked, slot.candidate: self._state(index, slot)}
        key = slot.assignment.field_key
        return Checkpoint(key, slot.candidate, slot.halving.candidates, states, slot.optimize_s)

    def evict(self, index: int) -> None:
        """Free a slot without a result."""
        self.slots[index] = None

    def step(self) -> None:
        """Update every live slot once: render its views, call the prior once for all slots, step Adam."""
        if self.embeds is None or not self.num_live:
            raise RuntimeError("SlotBatch.step() needs at least one live slot: admit an assignment first")

        inputs = self._around_prior.load(self._inputs())
        pictures = self._around_prior.render().requires_grad_()

        # one call for all slots: it is most of a step, and a larger batch costs less per picture
        latents = self.prior.encode_pictures(pictures)
        noise_sample = inputs.noise.told(gather_embeds(self.embeds.flatten(0, 1), inputs.views))
        gradient = distillation_gradient(self.prior, latents.detach(), noise_sample, self.recipe.guidance)

        # a mean over each slot's own elements, so that its gradient is the same whatever K is
        elements_per_slot = gradient.numel() / len(self.slots)
        (picture_gradient,) = torch.autograd.grad(distill(latents, gradient) / elements_per_slot, pictures)
        self._around_prior.update(picture_gradient)

        for slot in self.slots:
            if slot is not None:
                slot.step += 1

        # by the slot's own step: when a grid is renewed must not depend on the neighbours
        if self.fields.occupancy is not None:
            self.fields.update_occupancy(
                [index for index, slot in enumerate(self.slots) if slot and slot.step % OCCUPANCY_STEPS == 0]
            )
        self._draw_ahead()

    def harvest(self) -> list[OptimizedField]:
        """Probe the candidates that are due, start their successors, and release the assignments that end."""
        results = []
        healthy = None
        for index, slot in enumerate(self.slots):
            if slot is None:
                continue
            is_probe = slot.step >= slot.halving.next_probe(slot.candidate)
            if not is_probe and slot.step % HEALTH_CHECK_STEPS:
                continue

            # read once for all slots, and only when one is due: the host waits for the device here
            healthy = self.healthy.tolist() if healthy is None else healthy
            if is_probe or not healthy[index]:
                result = self._probe(index, slot, is_healthy=healthy[index])
                results += [] if result is None else [result]
        return results

    def _probe(self, index: int, slot: Slot, is_healthy: bool) -> OptimizedField | None:
        """Score the candidate in a slot and act on the decision of successive halving; a result frees the slot."""
        scores: Mapping[str, float] = {}
        failure: PromptFailure | None
        if is_healthy:
            # candidate 0 for all of them, so that every candidate is scored under the same noise
            seed = seed_for(slot.assignment.field_key, 0, "look")
            scores = probe_field(self.prior, self.fields, index, slot.embeds, self.recipe, seed)
            failure = gate_candidate(scores, self.recipe.gates, slot.step / self.recipe.optimize.num_steps)
        else:
            failure = OptimizationDiverged(f"a gradient was not finite before step {slot.step}")

        measured = {name: score for name, score in scores.items() if math.isfinite(score)}
        action = slot.halving.report(slot.candidate, slot.step, measured, failure)
        log_probe(slot.assignment.field_key, slot.halving, slot.candidate, failure, action)

        if isinstance(action, GiveUp):
            return self._release(index, slot, None, action.failure)

        if action.candidate != slot.candidate:
            # a failed candidate is never continued, so nothing of it is kept
            if failure is None:
                self._park(index, slot)
            slot.candidate = action.candidate
            self._begin(index, slot)
        if not isinstance(action, Finish):
            return None

        recipe = self.recipe
        snapshot = take_snapshot(self.fields, index, recipe.render.at(1.0), recipe.snapshot, recipe.cameras)
        return self._release(index, slot, snapshot, None)

    def _begin(self, index: int, slot: Slot) -> None:
        """Put the slot's candidate in place: from where it was parked, or from its first draws."""
        parked = slot.parked.pop(slot.candidate, None)
        slot.ahead = None
        self.healthy[index] = True
        if parked is not None:
            slot.step = parked.step
            slot.generator.set_state(parked.generator)
            self.fields.load_slot(index, parked.field)
            self.adam.load_slot(index, parked.adam)
            return

        slot.step = 0
        slot.generator = self._generator(slot, "steps")
        self.fields.init_slot(index, self._generator(slot, "field"))
        self.adam.init_slot(index)

    def _park(self, index: int, slot: Slot) -> None:
        slot.parked[slot.candidate] = self._state(index, slot)

    def _state(self, index: int, slot: Slot) -> CandidateState:
        return CandidateState(
            slot.step, slot.generator.get_state(), self.fields.slot_state(index), self.adam.slot_state(index)
        )

    def _release(
        self, index: int, slot: Slot, snapshot: FieldSnapshot | None, failure: PromptFailure | None
    ) -> OptimizedField:
        self.slots[index] = None
        history = slot.halving.history(None if snapshot is None else slot.candidate)
        if snapshot is not None:
            snapshot = replace(snapshot, history=history)
        return OptimizedField(slot.assignment, snapshot, failure, history, slot.optimize_s)

    def _generator(self, slot: Slot, purpose: str) -> torch.Generator:
        seed = seed_for(slot.assignment.field_key, slot.candidate, purpose)
        return torch.Generator().manual_seed(seed)

    def _inputs(self) -> StepInputs:
        """The inputs of this step, on the host; a free slot has draws of its own."""
        idle = torch.Generator().manual_seed(0)
        draws = [slot.take_draw(self._draw) if slot is not None else self._draw(idle, 0) for slot in self.slots]
        optimize = self.recipe.optimize
        rates = SlotRates(
            torch.tensor([lr_multiplier(optimize, slot.step) if slot is not None else 0.0 for slot in self.slots]),
            torch.tensor([slot is not None for slot in self.slots]),
        )
        assert self.embeds is not None
        return step_inputs(self.recipe, draws, rates, self.embeds.shape[1], self.device)

    def _draw(self, generator: torch.Generator, step: int) -> SlotDraw:
        return draw_slot(self.recipe, generator, progress_at(self.recipe.optimize, step), self.noise_shape)

    def _draw_ahead(self) -> None:
        """Draw the next step while the device works on this one: the host may soon have to wait for it.

        Before a probe there is nothing to be drawn: the candidate may give way to another.
        """
        for slot in self.slots:
            if slot is not None and slot.step < slot.halving.next_probe(slot.candidate):
                slot.draw_ahead(self._draw)


def optimize_all(
    prior: ScorePrior, recipe: Recipe, assignments: Iterable[Assignment], num_slots: int, device: str = "cpu"
) -> Iterator[OptimizedField]:
    """Distil every assignment on this process, K at a time, each slot refilled as soon as it is free."""
    batch = SlotBatch(prior, recipe, num_slots, device)
    waiting = iter(assignments)
    exhausted = False
    while True:
        while batch.num_free and not exhausted:
            assignment = next(waiting, None)
            if assignment is None:
                exhausted = True
                break
            try:
                batch.admit(assignment)
            except PromptFailure as failure:
                yield OptimizedField(assignment, None, failure, NO_HISTORY, 0.0)

        if not batch.num_live:
            return
        batch.step()
        yield from batch.harvest()
