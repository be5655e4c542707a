"""Adam over stacked slots equals one torch Adam per slot, and leaves the others alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dreamfoundry.distill.step.slot_adam import SlotAdam, clip_scales, slot_gradient_norms

BETAS, EPS = (0.9, 0.99), 1e-15
LRS = {"table": torch.tensor([0.01, 0.02, 0.03]), "head": torch.tensor([0.001, 0.002, 0.003])}
ALL = torch.tensor([True, True, True])
WHOLE = torch.ones(3)


def stacked() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "table": torch.randn(3, 7, 2, generator=generator).requires_grad_(),
        "head": torch.randn(3, 4, generator=generator).requires_grad_(),
    }


def gradients_of(step: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1000 + step)
    gradients = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in stacked().items()}
    gradients["table"][:, step % 7] = 0.0  # most table rows get no gradient in most steps
    return gradients


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def clipped_to_one(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    scales = clip_scales(slot_gradient_norms(gradients), 1.0)
    return {name: gradient * scales.view(-1, *[1] * (gradient.dim() - 1)) for name, gradient in gradients.items()}


def test_every_slot_equals_an_adam_of_its_own_also_when_they_start_apart() -> None:
    parameters = stacked()
    expected = copied(parameters)
    adam = SlotAdam(parameters, BETAS, EPS)
    starts = (0, 3, 5)
    for step in range(12):
        adam.step(gradients_of(step), WHOLE, LRS, torch.tensor([step >= start for start in starts]))
    for slot, start in enumerate(starts):
        own = {name: expected[name][slot].requires_grad_() for name in expected}
        reference = torch.optim.Adam(
            [{"params": [own[name]], "lr": LRS[name][slot].item()} for name in own], betas=BETAS, eps=EPS
        )
        for step in range(start, 12):
            for name, gradient in gradients_of(step).items():
                own[name].grad = gradient[slot]
            reference.step()
        for name in own:
            torch.testing.assert_close(parameters[name][slot].detach(), own[name].detach(), rtol=1e-5, atol=1e-6)
    assert adam.num_steps.tolist() == [12, 9, 7]


@pytest.mark.parametrize("poison", [1.0, math.nan, math.inf])
def test_a_slot_that_is_not_live_keeps_every_bit(poison: float) -> None:
    parameters = stacked()
    adam = SlotAdam(parameters, BETAS, EPS)
    adam.step(gradients_of(0), WHOLE, LRS, ALL)
    before, state = copied(parameters), adam.slot_state(1)
    gradients = gradients_of(1)
    gradients["table"][1] = poison
    adam.step(gradients, WHOLE, LRS, torch.tensor([True, False, True]))
    for name, tensor in parameters.items():
        assert torch.equal(tensor[1], before[name][1])
        assert not torch.equal(tensor[0], before[name][0])
    assert all(torch.equal(value, adam.slot_state(1)[key]) for key, value in state.items())


def test_a_nan_gradient_stays_in_its_slot() -> None:
    clean, poisoned = stacked(), stacked()
    first, second = SlotAdam(clean, BETAS, EPS), SlotAdam(poisoned, BETAS, EPS)
    for step in range(3):
        gradients = gradients_of(step)
        first.step(gradients, WHOLE, LRS, ALL)
        gradients["table"][0] = math.nan
        second.step(gradients, WHOLE, LRS, ALL)
    assert poisoned["table"][0].isnan().all()
    assert all(torch.equal(clean[name][1:], poisoned[name][1:]) for name in clean)


def test_a_slot_resumes_where_its_state_was_taken() -> None:
    parameters = stacked()
    adam = SlotAdam(parameters, BETAS, EPS)
    for step in range(3):
        adam.step(gradients_of(step), WHOLE, LRS, ALL)
    saved, state = copied(parameters), adam.slot_state(2)
    adam.step(gradients_of(3), WHOLE, LRS, ALL)

    resumed = stacked()
    other = SlotAdam(resumed, BETAS, EPS)
    with torch.no_grad():
        for name, tensor in resumed.items():
            tensor[2] = saved[name][2]
    other.load_slot(2, state)
    other.step(gradients_of(3), WHOLE, LRS, ALL)
    assert all(torch.equal(resumed[name][2], parameters[name][2]) for name in resumed)
    assert other.num_steps.tolist() == [1, 1, 4]


def test_a_new_asset_in_a_slot_starts_without_a_past() -> None:
    parameters = stacked()
    adam = SlotAdam(parameters, BETAS, EPS)
    adam.step(gradients_of(0), WHOLE, LRS, ALL)
    adam.init_slot(1)
    fresh = SlotAdam(stacked(), BETAS, EPS)
    assert all(torch.equal(value, fresh.slot_state(1)[key]) for key, value in adam.slot_state(1).items())
    assert adam.num_steps.tolist() == [1, 0, 1]


def test_clipping_limits_each_slot_by_its_own_norm() -> None:
    gradients = gradients_of(0)
    gradients = {
        name: gradient * torch.tensor([0.01, 1.0, 5.0]).view(-1, *[1] * (gradient.dim() - 1))
        for name, gradient in gradients.items()
    }
    clipped = clipped_to_one(gradients)
    for slot in range(3):
        own = [torch.zeros_like(gradient[slot]).requires_grad_() for gradient in gradients.values()]
        for tensor, gradient in zip(own, gradients.values(), strict=True):
            tensor.grad = gradient[slot].clone()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        for tensor, gradient in zip(own, clipped.values(), strict=True):
            torch.testing.assert_close(gradient[slot], tensor.grad)
    assert torch.equal(clipped["table"][0], gradients["table"][0])


def test_a_clipped_gradient_updates_like_the_scaled_one() -> None:
    shared, scaled = stacked(), stacked()
    first, second = SlotAdam(shared, BETAS, EPS), SlotAdam(scaled, BETAS, EPS)
    for step in range(3):
        gradients = gradients_of(step)
        first.step(gradients, clip_scales(slot_gradient_norms(gradients), 1.0), LRS, ALL)
        second.step(clipped_to_one(gradients), WHOLE, LRS, ALL)
    assert all(torch.equal(shared[name], scaled[name]) for name in shared)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_the_norm_tells_which_slot_diverged(poison: float) -> None:
    gradients = gradients_of(0)
    gradients["head"][1, 2] = poison
    norms = slot_gradient_norms(gradients)
    assert norms.isfinite().tolist() == [True, False, True]
    clipped = clipped_to_one(gradients)
    assert clipped["head"][[0, 2]].isfinite().all()
