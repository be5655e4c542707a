"""A CUDA graph that cannot be recorded, with stand-ins for the calls of torch that need a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from dreamfoundry.diffusion.networks.cuda_graph import GraphRecorder

GRAPH = object.__new__(torch.cuda.CUDAGraph)
"""Without a GPU torch's own constructor refuses."""


class Device:
    """The state of a GPU that a capture changes: the current stream, pools made, pools that are captured into."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.stream, self.num_pools = "the caller's", 0
        self.captured: list[tuple[int, int]] = []
        patch.setattr(torch.cuda, "graph_pool_handle", self.new_pool)
        patch.setattr(torch.cuda, "current_stream", lambda: self.stream)
        patch.setattr(torch.cuda, "current_device", lambda: 0)
        patch.setattr(torch.cuda, "set_stream", lambda stream: setattr(self, "stream", stream))
        patch.setattr(torch.cuda, "graph", self.capture)
        patch.setattr(torch._C, "_cuda_endAllocateToPool", self.end_allocate, raising=False)

    def new_pool(self) -> tuple[int, int]:
        self.num_pools += 1
        return (0, self.num_pools)

    @contextmanager
    def capture(self, graph: object, pool: tuple[int, int]) -> Iterator[None]:
        """As torch 2.11: where something failed within, neither the stream nor the allocator comes back."""
        assert not self.captured, "captures_underway.empty() INTERNAL ASSERT FAILED"
        self.stream = "torch's own"
        self.captured.append(pool)
        yield
        self.captured.remove(pool)
        self.stream = "the caller's"

    def end_allocate(self, device: int, pool: tuple[int, int]) -> None:
        if pool not in self.captured:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.captured.remove(pool)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(monkeypatch)


def test_after_a_capture_that_failed_stream_and_allocator_are_as_before_and_the_next_has_a_pool_of_its_own(
    device: Device,
) -> None:
    recorder = GraphRecorder()
    with pytest.raises(RuntimeError, match="operation not permitted"), recorder.capture(GRAPH):
        raise RuntimeError("operation not permitted when stream is capturing")
    assert (device.stream, device.captured, device.num_pools) == ("the caller's", [], 2)

    with recorder.capture(GRAPH):
        assert device.captured == [(0, 2)]


def test_captures_that_succeed_share_one_pool(device: Device) -> None:
    recorder = GraphRecorder()
    for _ in range(2):
        with recorder.capture(GRAPH):
            assert device.captured == [(0, 1)]
    assert (device.stream, device.captured, device.num_pools) == ("the caller's", [], 1)
