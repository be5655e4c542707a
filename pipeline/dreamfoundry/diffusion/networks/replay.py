"""Recordings of a frozen network: made once per shape and replayed without the cost of launching its kernels.

A UNet is about a thousand small kernels, and at small batches a GPU waits for the host that launches
them. A recording (`cuda_graph`) launches them all at once, but replays addresses, not values: inputs are
copied into the places that were recorded, and the output is cloned out of its place before the next
replay overwrites it. Shapes are few, since slots are padded to a fixed number.

    replay = ReplayByShape(run_unet, GraphRecorder())
    noise = replay(sample, timesteps, embeds)       # like run_unet(sample, timesteps, embeds)

Without a recorder everything runs eagerly: on a CPU, and with the engine "eager". So does a shape whose
recording failed. Recordings are made where a network is called, never within a backward pass: that runs
in a thread of autograd's own, in the middle of another graph of nodes.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from dreamfoundry.host.log_events import log_event

LOG = logging.getLogger(__name__)

RECORDED_AFTER_CALLS = 2
"""Calls with one shape that run eagerly before it is recorded: what comes once or twice is not worth its memory."""

MAX_RECORDINGS = 4
"""Shapes that are recorded at most; each keeps the memory of its activations. What comes later runs eagerly."""

WayBack = Callable[[Tensor], Tensor]
"""From the gradient of an output to that of its input."""

_may_record: ContextVar[bool] = ContextVar("may_record", default=True)

R = TypeVar("R")


@contextmanager
def without_recording() -> Iterator[None]:
    """Let calls of this thread neither record nor count; what is recorded already is replayed."""
    token = _may_record.set(False)
    try:
        yield
    finally:
        _may_record.reset(token)


@dataclass(frozen=True)
class Recording:
    """`replay` computes `output` from `inputs`, each time at the same addresses."""

    inputs: tuple[Tensor, ...]
    output: Tensor
    replay: Callable[[], None]


@dataclass(frozen=True)
class GradientRecording:
    """`forward` computes `output` from `value`; `backward`, after it, `value_gradient` from `output_gradient`.

    Activations lie at the same addresses too: between the two there may be no other `forward`.
    """

    value: Tensor
    output: Tensor
    output_gradient: Tensor
    value_gradient: Tensor
    forward: Callable[[], None]
    backward: Callable[[], None]


@runtime_checkable
class Recorder(Protocol):
    def record(self, compute: Callable[..., Tensor], *inputs: Tensor) -> Recording:
        """A recording of `compute`, whose inputs are the given tensors, owned by it from now on."""
        ...

    def record_with_gradient(self, compute: Callable[[Tensor], Tensor], value: Tensor) -> GradientRecording:
        """A recording of `compute` and of its way back, whose input is `value`, owned by it from now on."""
        ...


class _Recordings(Generic[R]):
    """A recording for each shape that came often enough, made by `record`; none without one."""

    def __init__(self, record: Callable[..., R] | None) -> None:
        self._record = record
        self._num_calls: dict[Any, int] = {}
        self._made: dict[Any, R] = {}
        self._failed: set[Any] = set()

    def find(self, *inputs: Tensor) -> R | None:
        """The recording for the shapes of `inputs`, made now if its time has come; None where calls run eagerly."""
        if self._record is None:
            return None
        # Strides count too: a kernel for channels-last reads another order.
        shapes = tuple((value.shape, value.stride(), value.dtype) for value in inputs)
        if shapes in self._made or shapes in self._failed or not _may_record.get():
            return self._made.get(shapes)

        self._num_calls[shapes] = self._num_calls.get(shapes, 0) + 1
        if self._num_calls[shapes] <= RECORDED_AFTER_CALLS or len(self._made) == MAX_RECORDINGS:
            return None
        try:
            self._made[shapes] = self._record(*(value.detach().clone() for value in inputs))  # clones keep the strides
        except RuntimeError as error:
            cause = first_cause(error)
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None  # the caller's matter: fewer slots would fit
            self._failed.add(shapes)
            sizes, words = [list(value.shape) for value in inputs], f"{type(cause).__name__}: {cause}"
            log_event(LOG, "recording_failed", logging.WARNING, shapes=sizes, cause=words)
        return self._made.get(shapes)


class ReplayByShape:
    """`compute` with a recording for each shape of its inputs. `compute` must have no other effect.

    Differentiable calls (an input brings a graph along) run eagerly: a recording has no way back.
    """

    def __init__(self, compute: Callable[..., Tensor], recorder: Recorder | None) -> None:
        self._compute = compute
        self._recordings = _Recordings(None if recorder is None else partial(recorder.record, compute))

    def __call__(self, *inputs: Tensor) -> Tensor:
        if torch.is_grad_enabled() and any(value.requires_grad for value in inputs):
            return self._compute(*inputs)
        recording = self._recordings.find(*inputs)
        if recording is None:
            return self._compute(*inputs)

        for place, value in zip(recording.inputs, inputs, strict=True):
            place.copy_(value)
        recording.replay()
        return recording.output.clone()

    def prepare(self, *inputs: Tensor) -> None:
        """Count a call with inputs like these and record it when its time has come, without an answer."""
        self._recordings.find(*inputs)


class ReplayWithGradient:
    """`compute` of one tensor and its way back, with a recording of both for each shape."""

    def __init__(self, compute: Callable[[Tensor], Tensor], recorder: Recorder | None) -> None:
        self._compute = compute
        self._recordings = _Recordings(None if recorder is None else partial(recorder.record_with_gradient, compute))
        self._latest: Callable[[], _ReplayedWayBack | None] = lambda: None

    @property
    def is_occupied(self) -> bool:
        """True while a replayed call waits for its way back, whose activations another call would overwrite."""
        latest = self._latest()
        return latest is not None and not latest.is_done

    def __call__(self, value: Tensor) -> tuple[Tensor, WayBack]:
        """(compute(value), its way back, to be gone once at most). Not to be called while it is occupied."""
        recording = self._recordings.find(value)
        if recording is None:
            return eager_with_gradient(self._compute, value)

        recording.value.copy_(value)
        recording.forward()
        way_back = _ReplayedWayBack(recording)
        # A weak one: a way back that is never gone is over when nobody holds it any more.
        self._latest = weakref.ref(way_back)
        return recording.output.clone(), way_back


class _ReplayedWayBack:
    def __init__(self, recording: GradientRecording) -> None:
        self._recording = recording
        self.is_done = False

    def __call__(self, gradient: Tensor) -> Tensor:
        if self.is_done:
            raise RuntimeError("the way back of a replayed call can be gone once only: its activations are overwritten")
        self.is_done = True
        self._recording.output_gradient.copy_(gradient)
        self._recording.backward()
        return self._recording.value_gradient.clone()


def eager_with_gradient(compute: Callable[[Tensor], Tensor], value: Tensor) -> tuple[Tensor, WayBack]:
    """(compute(value), its way back), kernel by kernel; the activations live as long as the way back does."""
    with torch.enable_grad():
        leaf = value.detach().requires_grad_()
        output = compute(leaf.view_as(leaf))  # torch's counter of operations follows no leaf into a module

    def way_back(gradient: Tensor) -> Tensor:
        (result,) = torch.autograd.grad(output, leaf, gradient)
        return result

    return output.detach(), way_back


def first_cause(error: BaseException) -> BaseException:
    """The error that all others followed: leaving a broken recording raises more of them."""
    while error.__context__ is not None:
        error = error.__context__
    return error
