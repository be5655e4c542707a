"""A replay equals the computation that it replaces: values are copied in and cloned out, shape by shape.

The recorder here replays as a CUDA graph does, always between the same places, but on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dreamfoundry.diffusion.cuda_graph import (
    MAX_RECORDINGS,
    RECORDED_AFTER_CALLS,
    Recording,
    ReplayByShape,
    with_replayed_gradient,
)


class PlaceRecorder:
    """Replays into one place per recording, and counts recordings and replays."""

    def __init__(self) -> None:
        self.shapes: list[torch.Size] = []
        self.num_replays = 0

    def record(self, compute: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Recording:
        self.shapes.append(inputs[0].shape)
        output = torch.full_like(compute(*inputs), torch.nan)

        def replay() -> None:
            self.num_replays += 1
            output.copy_(compute(*inputs))

        return Recording(inputs, output, replay)


def compute(value: Tensor, factor: Tensor) -> Tensor:
    return value.sin() * factor


def asked(replay: ReplayByShape, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """(what it answers, what is right) for values of their own."""
    value, factor = torch.randn(2, rows, 3, generator=torch.Generator().manual_seed(seed))
    return replay(value, factor), compute(value, factor)


def test_a_shape_is_recorded_once_it_has_been_seen_a_few_times() -> None:
    recorder = PlaceRecorder()
    replay = ReplayByShape(compute, recorder)
    for call in range(RECORDED_AFTER_CALLS + 3):
        answer, right = asked(replay, rows=2, seed=call)
        assert torch.equal(answer, right)
    assert recorder.shapes == [torch.Size([2, 3])]
    assert recorder.num_replays == 3


def test_each_shape_has_a_recording_of_its_own() -> None:
    recorder = PlaceRecorder()
    replay = ReplayByShape(compute, recorder)
    for call in range(4 * RECORDED_AFTER_CALLS + 4):
        answer, right = asked(replay, rows=2 + call % 2, seed=call)
        assert torch.equal(answer, right)
    assert sorted(recorder.shapes) == [torch.Size([2, 3]), torch.Size([3, 3])]


def test_values_of_another_order_in_memory_are_another_shape() -> None:
    recorder = PlaceRecorder()
    replay = ReplayByShape(compute, recorder)
    pictures = torch.randn(2, 3, 4, 4)
    for value in (pictures, pictures.to(memory_format=torch.channels_last)):
        for _ in range(RECORDED_AFTER_CALLS + 1):
            answer = replay(value, value)
            assert torch.equal(answer, compute(value, value))
            assert answer.stride() == value.stride()
    assert len(recorder.shapes) == 2


def test_an_answer_stays_what_it_was_when_the_next_one_is_made() -> None:
    replay = ReplayByShape(compute, PlaceRecorder())
    kept = [asked(replay, rows=2, seed=call) for call in range(RECORDED_AFTER_CALLS + 4)]
    assert all(torch.equal(answer, right) for answer, right in kept)


def test_what_was_given_is_not_written_to() -> None:
    replay = ReplayByShape(compute, PlaceRecorder())
    given = [torch.full((2, 3), float(call)) for call in range(RECORDED_AFTER_CALLS + 3)]
    for value in given:
        replay(value, value)
    assert all(bool((value == call).all()) for call, value in enumerate(given))


def test_a_differentiable_call_is_never_replayed() -> None:
    recorder = PlaceRecorder()
    replay = ReplayByShape(compute, recorder)
    for _ in range(RECORDED_AFTER_CALLS + 2):
        value = torch.randn(2, 3, requires_grad=True)
        (gradient,) = torch.autograd.grad(replay(value, torch.ones(2, 3)).sum(), value)
        assert torch.allclose(gradient, value.cos())
    assert recorder.num_replays == 0
    with torch.no_grad():
        for _ in range(RECORDED_AFTER_CALLS + 1):
            replay(value, torch.ones(2, 3))
    assert recorder.num_replays == 1, "without a graph the same values may be"


def test_shapes_beyond_the_limit_run_eagerly() -> None:
    recorder = PlaceRecorder()
    replay = ReplayByShape(compute, recorder)
    for rows in range(1, MAX_RECORDINGS + 3):
        for call in range(RECORDED_AFTER_CALLS + 1):
            answer, right = asked(replay, rows, seed=call)
            assert torch.equal(answer, right)
    assert len(recorder.shapes) == MAX_RECORDINGS


def test_without_a_recorder_everything_runs_eagerly() -> None:
    replay = ReplayByShape(compute, None)
    assert all(torch.equal(*asked(replay, rows=2, seed=call)) for call in range(RECORDED_AFTER_CALLS + 2))


@pytest.mark.parametrize("num_parts", [1, 3])
def test_a_replayed_gradient_is_the_gradient_of_each_part(num_parts: int) -> None:
    """The parts share their recordings, and all pass forward before the first passes back."""
    forward_recorder, backward_recorder = PlaceRecorder(), PlaceRecorder()

    def backward_of_sin(value: Tensor, gradient: Tensor) -> Tensor:
        return value.cos() * gradient

    forward = ReplayByShape(torch.sin, forward_recorder)
    backward = ReplayByShape(backward_of_sin, backward_recorder)
    for seed in range(RECORDED_AFTER_CALLS + 2):
        value = torch.randn(2 * num_parts, 3, generator=torch.Generator().manual_seed(seed), requires_grad=True)
        probe = torch.randn(2 * num_parts, 3)
        parts = [with_replayed_gradient(forward, backward, part) for part in torch.split(value, 2)]
        (gradient,) = torch.autograd.grad((torch.cat(parts) * probe).sum(), value)
        assert torch.equal(torch.cat(parts), value.sin())
        assert torch.allclose(gradient, value.cos() * probe)
    assert forward_recorder.num_replays > 0
    assert backward_recorder.num_replays > 0
    assert len(forward_recorder.shapes) == len(backward_recorder.shapes) == 1
