"""A step around the prior as two recordings: one up to the pictures, one from their gradient on.

It is some four hundred small kernels for any number of slots, and with few slots and a small prior a GPU waits
for the host that launches them. Shapes are static, so a CUDA graph can launch them all at once. Off unless a
recorder is given.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.diffusion.networks.cuda_graph import GraphRecorder
from dreamfoundry.diffusion.networks.replay import first_cause
from dreamfoundry.distill.step.field_step import FieldStep
from dreamfoundry.distill.step.inputs import StepInputs
from dreamfoundry.distill.step.one_copy import num_bytes_of, tensors_of
from dreamfoundry.host.log_events import log_event

LOG = logging.getLogger(__name__)

RECORDED_AFTER_STEPS = 3
"""Steps of one shape that run operation by operation before it is recorded: kernels are built and chosen in them."""

MAX_RECORDINGS = 4
"""Shapes that are recorded at most: with and without normals in two phases. What comes later is not recorded."""


@dataclass(frozen=True)
class StepRecording:
    """`render` computes `pictures` from what lies in the buffer of the inputs, `update` steps the slots by
    `picture_gradient`, each time at the same addresses.
    """

    pictures: Float[Tensor, "B 3 H H"]
    picture_gradient: Float[Tensor, "B 3 H H"]
    render: Callable[[], None]
    update: Callable[[], None]


@runtime_checkable
class StepRecorder(Protocol):
    def record(self, render: Callable[[], Tensor], update: Callable[[Tensor], None]) -> StepRecording:
        """A recording of both, without a change of any slot. RuntimeError if there can be none."""
        ...


class StepReplay:
    """`step`, replayed for the shapes that came often enough."""

    def __init__(self, step: FieldStep, recorder: StepRecorder) -> None:
        self._step, self._recorder = step, recorder
        self._num_steps: Counter[Hashable] = Counter()
        self._made: dict[Hashable, tuple[Tensor, StepRecording]] = {}
        self._failed: set[Hashable] = set()
        self._now: StepRecording | None = None

    def load(self, on_host: StepInputs) -> StepInputs:
        """See `AroundPrior`; into the place that was recorded, if there is one."""
        shapes = _shapes(on_host)
        self._num_steps[shapes] += 1
        is_due = self._num_steps[shapes] > RECORDED_AFTER_STEPS and len(self._made) < MAX_RECORDINGS
        if is_due and shapes not in self._made and shapes not in self._failed:
            self._record(shapes, on_host)

        buffer, self._now = self._made.get(shapes, (None, None))
        return self._step.load(on_host, buffer)

    def render(self) -> Float[Tensor, "B 3 H H"]:
        """See `AroundPrior`; the pictures are overwritten in the next step."""
        if self._now is None:
            return self._step.render()
        self._now.render()
        return self._now.pictures.detach()

    def update(self, picture_gradient: Float[Tensor, "B 3 H H"]) -> None:
        """See `AroundPrior`."""
        if self._now is None:
            self._step.update(picture_gradient)
            return
        self._now.picture_gradient.copy_(picture_gradient)
        self._now.update()

    def _record(self, shapes: Hashable, on_host: StepInputs) -> None:
        buffer = torch.empty(num_bytes_of(on_host), dtype=torch.uint8, device=self._step.device)
        self._step.load(on_host, buffer)
        try:
            self._made[shapes] = buffer, self._recorder.record(self._step.render, self._step.update)
        except RuntimeError as error:
            cause = first_cause(error)
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None  # the caller's matter: fewer slots would fit
            self._failed.add(shapes)
            words = f"{type(cause).__name__}: {cause}"
            log_event(LOG, "recording_failed", logging.WARNING, shapes="a step", cause=words)


class StepGraphs:
    """Records CUDA graphs. Each step has its two in a pool of its own: what the first leaves is for the second."""

    def record(self, render: Callable[[], Tensor], update: Callable[[Tensor], None]) -> StepRecording:
        """See `StepRecorder`: nothing runs while a graph is captured, so no slot changes."""
        recorder = GraphRecorder()
        there, back = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with recorder.capture(there):
            pictures = render()
        picture_gradient = torch.zeros_like(pictures)
        with recorder.capture(back):
            update(picture_gradient)
        return StepRecording(pictures, picture_gradient, there.replay, back.replay)


def _shapes(inputs: StepInputs) -> Hashable:
    """Everything that decides which kernels run, and over how much."""
    phases = tuple((batch.render, batch.with_normals) for batch in inputs.batches)
    return phases, tuple(tensor.shape for tensor in tensors_of(inputs))
