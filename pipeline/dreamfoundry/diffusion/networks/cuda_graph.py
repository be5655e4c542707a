"""CUDA graphs: the recordings that `replay` makes on a GPU, and all that knows CUDA of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

from dreamfoundry.diffusion.networks.replay import GradientRecording, Recording

WARM_UP_CALLS = 3
"""Calls on a side stream before a recording: libraries choose kernels and reserve workspaces in the first ones."""


class GraphRecorder:
    """Records CUDA graphs that share one pool of memory: they never run at the same time.

    A graph of the pool may overwrite whatever the others left there, except inputs and outputs. So recordings
    with a gradient, which leave activations between their two graphs, want a recorder of their own.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    @torch.no_grad()
    def record(self, compute: Callable[..., Tensor], *inputs: Tensor) -> Recording:
        """See `Recorder`; RuntimeError for what a graph cannot hold, with the stream as it was before."""
        with torch.cuda.device(inputs[0].device):
            _warm_up(lambda: compute(*inputs))
            graph = torch.cuda.CUDAGraph()
            with self.capture(graph):
                output = compute(*inputs)
        return Recording(inputs, output, graph.replay)

    @torch.enable_grad()
    def record_with_gradient(self, compute: Callable[[Tensor], Tensor], value: Tensor) -> GradientRecording:
        """See `Recorder`, and `record`. Activations go back to the pool in the way back, as they would eagerly."""

        def backward(output: Tensor, gradient: Tensor) -> Tensor:
            (result,) = torch.autograd.grad(output, value, gradient)
            return result

        with torch.cuda.device(value.device):
            value.requires_grad_()
            _warm_up(lambda: backward(output := compute(value), torch.zeros_like(output)))
            forward_graph, backward_graph = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
            with self.capture(forward_graph):
                output = compute(value)
            gradient = torch.zeros_like(output)
            with self.capture(backward_graph):
                value_gradient = backward(output, gradient)

        value, output = value.detach(), output.detach()
        return GradientRecording(value, output, gradient, value_gradient, forward_graph.replay, backward_graph.replay)

    @contextmanager
    def capture(self, graph: torch.cuda.CUDAGraph) -> Iterator[None]:
        """Record what is launched within, which does not run; stream and allocator are as before, whatever happens.

        Memory that a failed recording took stays reserved: to release it could take that of a graph of the same pool.
        """
        stream, device = torch.cuda.current_stream(), torch.cuda.current_device()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                yield
        except BaseException:
            # Where the end of a capture fails, torch leaves its own stream current, and up to 2.12 an allocator that
            # goes on as if it were captured: then neither `empty_cache` nor another capture works.
            torch.cuda.set_stream(stream)
            with suppress(RuntimeError):  # it is not captured any more
                torch._C._cuda_endAllocateToPool(device, self._pool)
            self._pool = torch.cuda.graph_pool_handle()
            raise


def _warm_up(compute: Callable[[], Tensor]) -> None:
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP_CALLS):
            compute()
    torch.cuda.current_stream().wait_stream(aside)
