"""Recorded steps: the same numbers as step by step, recorded by shape, and a way on where nothing can be recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.step.replay import RECORDED_AFTER_STEPS, StepRecorder, StepRecording
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe
from support.small_loop import SMALL, assignment

RECIPE = with_overrides(SMALL, {"optimize.num_steps": 20, "shading.lit_probability": 0.0})


class Recorder:
    """Records by keeping the calls: a replay makes them again, at the same addresses, as a graph would."""

    def __init__(self) -> None:
        self.num_recordings = self.num_replays = 0

    def record(self, render: Callable[[], Tensor], update: Callable[[Tensor], None]) -> StepRecording:
        self.num_recordings += 1
        pictures = render().clone()
        picture_gradient = torch.zeros_like(pictures)

        def replay() -> None:
            self.num_replays += 1
            pictures.copy_(render())

        return StepRecording(pictures, picture_gradient, replay, lambda: update(picture_gradient))


class BrokenRecorder:
    def __init__(self, error: type[RuntimeError] = RuntimeError) -> None:
        self.num_tries = 0
        self._error = error

    def record(self, render: Callable[[], Tensor], update: Callable[[Tensor], None]) -> StepRecording:
        self.num_tries += 1
        render()
        raise self._error("operation not permitted when stream is capturing")


def states_after(num_steps: int, recorder: StepRecorder | None, recipe: Recipe = RECIPE) -> list[Tensor]:
    batch = SlotBatch(AnalyticPrior(), recipe, 2, recorder=recorder)
    for name in ("red", "blue"):
        batch.admit(assignment(name))
    for _ in range(num_steps):
        batch.step()
    return [tensor for slot in range(2) for tensor in batch.fields.slot_state(slot).values()]


def test_replayed_steps_have_the_bits_of_steps_that_are_not() -> None:
    recorder = Recorder()
    replayed = states_after(8, recorder)

    assert (recorder.num_recordings, recorder.num_replays) == (1, 8 - RECORDED_AFTER_STEPS)
    assert all(torch.equal(one, other) for one, other in zip(replayed, states_after(8, None), strict=True))


@pytest.mark.parametrize(("orientation", "num_recordings"), [(1e-2, 1), (0.0, 2)])
def test_lit_and_unlit_steps_have_one_recording_where_a_loss_wants_normals_anyway(
    orientation: float, num_recordings: int
) -> None:
    lit = {"shading.lit_probability": 0.5, "shading.albedo_only_until_fraction": 0.0, "losses.orientation": orientation}
    recipe, recorder = with_overrides(RECIPE, lit), Recorder()
    states_after(18, recorder, recipe)

    assert recorder.num_recordings == num_recordings


def test_each_phase_has_a_recording_of_its_own() -> None:
    later = {"render.later": [{"from_fraction": 0.5, "image_px": 32, "samples_per_ray": 20}]}
    recipe, recorder = with_overrides(RECIPE, later), Recorder()
    replayed = states_after(18, recorder, recipe)

    assert recorder.num_recordings == 2
    assert all(torch.equal(one, other) for one, other in zip(replayed, states_after(18, None, recipe), strict=True))


def test_where_nothing_can_be_recorded_steps_go_on_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    recorder = BrokenRecorder()
    with caplog.at_level(logging.WARNING):
        states = states_after(8, recorder)

    assert recorder.num_tries == 1
    assert len([record for record in caplog.records if "recording_failed" in record.getMessage()]) == 1
    assert all(torch.equal(one, other) for one, other in zip(states, states_after(8, None), strict=True))


def test_a_lack_of_memory_is_the_matter_of_the_caller() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        states_after(8, BrokenRecorder(torch.OutOfMemoryError))


class MaskingRecorder(BrokenRecorder):
    """Runs out of memory, and fails once more where it ends the recording, as torch does."""

    def record(self, render: Callable[[], Tensor], update: Callable[[Tensor], None]) -> StepRecording:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        except torch.OutOfMemoryError:
            raise RuntimeError("capture was invalidated")  # noqa: B904


def test_a_lack_of_memory_is_told_also_where_the_end_of_the_recording_hides_it() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        states_after(8, MaskingRecorder())
