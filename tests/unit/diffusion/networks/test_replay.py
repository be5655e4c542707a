"""A replay equals the computation that it replaces: values are copied in and cloned out, shape by shape.

The recorder here replays as a CUDA graph does, always between the same places, but on a CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dreamfoundry.diffusion.networks.replay import (
    MAX_RECORDINGS,
    RECORDED_AFTER_CALLS,
    Recording,
    ReplayByShape,
    ReplayWithGradient,
    without_recording,
)
from support.recorders import PlaceRecorder


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


def test_what_merely_looks_is_not_recorded_and_does_not_count() -> None:
    recorder = PlaceRecorder()
    replay = ReplayByShape(compute, recorder)
    with without_recording():
        for call in range(RECORDED_AFTER_CALLS + 4):
            answer, right = asked(replay, rows=2, seed=call)
            assert torch.equal(answer, right)
    assert recorder.shapes == []

    for call in range(RECORDED_AFTER_CALLS):
        asked(replay, rows=2, seed=call)
    assert recorder.shapes == []
    asked(replay, rows=2, seed=0)
    with without_recording():
        answer, right = asked(replay, rows=2, seed=9)
    assert torch.equal(answer, right)
    assert recorder.num_replays == 2, "what is recorded serves whoever asks"


class FailingRecorder(PlaceRecorder):
    """Cannot record computations of two rows."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.num_failures, self._error = 0, error

    def record(self, compute: Callable[..., Tensor], *inputs: Tensor) -> Recording:
        if len(inputs[0]) == 2:
            self.num_failures += 1
            try:
                raise self._error
            finally:
                raise RuntimeError("the end of the capture failed too")
        return super().record(compute, *inputs)


def test_a_shape_whose_recording_failed_runs_eagerly_for_ever_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = FailingRecorder(ValueError("operation not permitted"))
    replay = ReplayByShape(compute, recorder)
    with caplog.at_level(logging.WARNING, logger="dreamfoundry"):
        for call in range(RECORDED_AFTER_CALLS + 4):
            for rows in (2, 3):
                answer, right = asked(replay, rows, seed=call)
                assert torch.equal(answer, right)
    assert recorder.num_failures == 1
    assert recorder.shapes == [torch.Size([3, 3])], "other shapes are none the worse"

    (event,) = caplog.records
    assert event.getMessage() == "recording_failed"
    assert event.event_fields == {  # type: ignore[attr-defined]
        "shapes": [[2, 3], [2, 3]],
        "cause": "ValueError: operation not permitted",
    }


def test_memory_that_does_not_suffice_is_for_the_caller_to_handle() -> None:
    replay = ReplayByShape(compute, FailingRecorder(torch.OutOfMemoryError("full")))
    for call in range(RECORDED_AFTER_CALLS):
        asked(replay, rows=2, seed=call)
    with pytest.raises(torch.OutOfMemoryError, match="full"):
        asked(replay, rows=2, seed=0)


def test_a_way_there_and_its_way_back_are_recorded_together() -> None:
    recorder = PlaceRecorder()
    replay = ReplayWithGradient(torch.sin, recorder)
    for call in range(RECORDED_AFTER_CALLS + 3):
        for rows in (2, 3):
            value, probe = torch.randn(2, rows, 3, generator=torch.Generator().manual_seed(call))
            answer, way_back = replay(value)
            assert torch.equal(answer, value.sin())
            assert torch.allclose(way_back(probe), value.cos() * probe)
    assert recorder.shapes == [torch.Size([2, 3]), torch.Size([3, 3])]
    assert recorder.num_replays == 2 * 2 * 3


def test_it_is_occupied_until_the_way_back_is_gone_or_forgotten() -> None:
    replay = ReplayWithGradient(torch.sin, PlaceRecorder())
    value = torch.ones(2, 3)
    for _ in range(RECORDED_AFTER_CALLS):
        replay(value)
    assert not replay.is_occupied, "eager calls keep their activations to themselves"

    _, way_back = replay(value)
    assert replay.is_occupied
    way_back(value)
    assert not replay.is_occupied
    with pytest.raises(RuntimeError, match="once only"):
        way_back(value)

    _, way_back = replay(value)
    del way_back
    assert not replay.is_occupied, "a step that failed in between does not block the next one"
