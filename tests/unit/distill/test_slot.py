"""A slot may draw ahead; nobody sees it but the clock."""

from __future__ import annotations

import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.slot import Slot
from dreamfoundry.distill.step.inputs import NoiseShape, SlotDraw, draw_slot
from support.small_loop import SMALL, assignment


def draw(generator: torch.Generator, step: int) -> SlotDraw:
    return draw_slot(SMALL, generator, step / SMALL.optimize.num_steps, NoiseShape(1000, (3, 4, 4)))


def a_slot() -> Slot:
    batch = SlotBatch(AnalyticPrior(), SMALL, 1)
    batch.admit(assignment("red"))
    (slot,) = batch.slots
    assert slot is not None
    return slot


def test_draws_made_ahead_are_the_draws_of_their_step() -> None:
    ahead, in_time = a_slot(), a_slot()
    for _ in range(3):
        ahead.draw_ahead(draw)
        first, second = ahead.take_draw(draw), in_time.take_draw(draw)
        assert torch.equal(first.noise.noise, second.noise.noise)
        assert torch.equal(first.rays[1], second.rays[1])
        assert torch.equal(ahead.generator.get_state(), in_time.generator.get_state())


def test_the_generator_of_a_slot_stands_before_the_draws_that_were_made_ahead() -> None:
    slot = a_slot()
    before = slot.generator.get_state()
    slot.draw_ahead(draw)
    assert torch.equal(slot.generator.get_state(), before)
    slot.take_draw(draw)
    assert not torch.equal(slot.generator.get_state(), before)


def test_draws_made_ahead_for_another_step_are_dropped() -> None:
    slot, expected = a_slot(), a_slot()
    slot.draw_ahead(draw)
    slot.step = expected.step = 4
    taken, wanted = slot.take_draw(draw), expected.take_draw(draw)
    assert torch.equal(taken.noise.noise, wanted.noise.noise)
    assert torch.equal(taken.loss_weights, wanted.loss_weights)


def test_the_next_candidate_does_not_get_the_draws_of_the_one_before() -> None:
    batch = SlotBatch(AnalyticPrior(), SMALL, 1)
    batch.admit(assignment("red"))
    (slot,) = batch.slots
    assert slot is not None
    slot.draw_ahead(batch._draw)
    slot.candidate = 1
    batch._begin(0, slot)
    assert slot.ahead is None
