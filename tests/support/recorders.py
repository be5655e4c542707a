"""A recorder that replays as a CUDA graph does, always between the same places, but on a CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dreamfoundry.diffusion.networks.replay import GradientRecording, Recording


class PlaceRecorder:
    """Replays into one place per recording, and counts recordings and replays.

    `in_backward` counts the recordings that were made within a backward pass. Activations of a recording with a
    gradient have one place too: a second way there before the way back overwrites those of the first.
    """

    def __init__(self) -> None:
        self.shapes: list[torch.Size] = []
        self.num_replays = 0
        self.in_backward = 0

    def record(self, compute: Callable[..., Tensor], *inputs: Tensor) -> Recording:
        self._count(inputs[0])
        output = torch.full_like(compute(*inputs), torch.nan)

        def replay() -> None:
            self.num_replays += 1
            output.copy_(compute(*inputs))

        return Recording(inputs, output, replay)

    def record_with_gradient(self, compute: Callable[[Tensor], Tensor], value: Tensor) -> GradientRecording:
        self._count(value)
        activations: list[tuple[Tensor, Tensor]] = []
        output, value_gradient = torch.full_like(compute(value), torch.nan), torch.full_like(value, torch.nan)
        output_gradient = torch.full_like(output, torch.nan)

        def forward() -> None:
            self.num_replays += 1
            with torch.enable_grad():
                leaf = value.clone().requires_grad_()
                activations[:] = [(compute(leaf), leaf)]
            output.copy_(activations[0][0].detach())

        def backward() -> None:
            self.num_replays += 1
            result, leaf = activations[0]
            value_gradient.copy_(torch.autograd.grad(result, leaf, output_gradient, retain_graph=True)[0])

        return GradientRecording(value, output, output_gradient, value_gradient, forward, backward)

    def _count(self, value: Tensor) -> None:
        self.shapes.append(value.shape)
        self.in_backward += torch._C._current_graph_task_id() != -1
