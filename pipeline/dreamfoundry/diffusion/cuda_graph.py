"""CUDA graphs of a frozen network: recorded once per shape, replayed without the cost of launching its kernels.

A UNet is about a thousand small kernels, and at small batches a GPU waits for the host that launches
them. A CUDA graph launches them all at once, but replays addresses, not values: inputs are copied
into the places that were recorded, and the output is cloned out of its place before the next replay
overwrites it. Shapes are few, since slots are padded to a fixed number.

    replay = ReplayByShape(run_unet, GraphRecorder())
    noise = replay(sample, timesteps, embeds)       # like run_unet(sample, timesteps, embeds)

`ReplayByShape` decides and copies; `GraphRecorder` is all that knows CUDA. Without a recorder
everything runs eagerly: on a CPU, and with the engine "eager".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

RECORDED_AFTER_CALLS = 2
"""Calls with one shape that run eagerly before it is recorded. A probe asks about shapes that no step has,
a few times per asset; its graph would cost more memory than it saves time."""

MAX_RECORDINGS = 4
"""Shapes that are recorded at most; each keeps the memory of its activations. What comes later runs eagerly."""

WARM_UP_CALLS = 3
"""Calls on a side stream before a recording: libraries choose kernels and reserve workspaces in the first ones."""


@dataclass(frozen=True)
class Recording:
    """`replay` computes `output` from `inputs`, each time at the same addresses."""

    inputs: tuple[Tensor, ...]
    output: Tensor
    replay: Callable[[], None]


@runtime_checkable
class Recorder(Protocol):
    def record(self, compute: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Recording:
        """A recording of `compute`, whose inputs are the given tensors, owned by it from now on."""
        ...


class ReplayByShape:
    """`compute` with a recording for each shape of its inputs. `compute` must have no other effect.

    Differentiable calls (an input brings a graph along) run eagerly: a recording has no way back.
    """

    def __init__(self, compute: Callable[..., Tensor], recorder: Recorder | None) -> None:
        self._compute, self._recorder = compute, recorder
        self._num_calls: dict[Any, int] = {}
        self._recordings: dict[Any, Recording] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        if torch.is_grad_enabled() and any(value.requires_grad for value in inputs):
            return self._compute(*inputs)
        recording = self._recording(inputs)
        if recording is None:
            return self._compute(*inputs)

        for place, value in zip(recording.inputs, inputs, strict=True):
            place.copy_(value)
        recording.replay()
        return recording.output.clone()

    def prepare(self, *inputs: Tensor) -> None:
        """Count a call with inputs like these and record it when its time has come, without an answer."""
        self._recording(inputs)

    def _recording(self, inputs: tuple[Tensor, ...]) -> Recording | None:
        """The recording for the shapes of `inputs`, made now if they came often enough; None before that."""
        if self._recorder is None:
            return None
        # Strides count too: a kernel for channels-last reads another order.
        shapes = tuple((value.shape, value.stride(), value.dtype) for value in inputs)
        if shapes not in self._recordings:
            self._num_calls[shapes] = self._num_calls.get(shapes, 0) + 1
            if self._num_calls[shapes] <= RECORDED_AFTER_CALLS or len(self._recordings) == MAX_RECORDINGS:
                return None
            places = tuple(value.detach().clone() for value in inputs)  # clones keep the strides
            self._recordings[shapes] = self._recorder.record(self._compute, places)
        return self._recordings[shapes]


class GraphRecorder:
    """Records CUDA graphs that share one pool of memory: they never run at the same time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    @torch.no_grad()
    def record(self, compute: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Recording:
        with torch.cuda.device(inputs[0].device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP_CALLS):
                    compute(*inputs)
            torch.cuda.current_stream().wait_stream(aside)

            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                output = compute(*inputs)
        return Recording(inputs, output, graph.replay)


def with_replayed_gradient(forward: ReplayByShape, backward: ReplayByShape, value: Tensor) -> Tensor:
    """forward(value), whose gradient is backward(value, gradient): nothing in between is kept.

    `backward` computes the forward pass once more, as a checkpoint does.
    """
    result: Tensor = _ReplayedGradient.apply(value, forward, backward)  # type: ignore[no-untyped-call]
    return result


class _ReplayedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, forward: ReplayByShape, backward: ReplayByShape) -> Tensor:
        ctx.save_for_backward(value)
        ctx.backward_of = backward
        result = forward(value)
        # Recorded here, in the caller's thread: backward passes run in threads of autograd's own.
        backward.prepare(value, torch.empty_like(result, memory_format=torch.contiguous_format))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (value,) = ctx.saved_tensors
        return ctx.backward_of(value, gradient.contiguous()), None, None
