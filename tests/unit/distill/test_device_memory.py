"""Bytes that are taken on a device, and errors that tell of a shortage of them."""

from __future__ import annotations

import pytest
import torch

from dreamfoundry.distill.device_memory import LiveBytes, is_out_of_memory, peak_memory

KIB = 1024


def test_live_bytes_are_those_of_the_tensors_alive_and_views_cost_nothing() -> None:
    with LiveBytes() as live:
        first = torch.zeros(KIB, dtype=torch.uint8)
        second = first[::2].reshape(16, -1) + first.view(32, -1)[:16] * 0
        peak_of_two = live.peak
        del first
        third = torch.ones(256, dtype=torch.uint8)
    assert live.now == second.nbytes + third.nbytes
    assert peak_of_two >= KIB + second.nbytes
    assert live.peak < 3 * KIB


def test_live_bytes_see_what_autograd_keeps_and_what_its_way_back_makes() -> None:
    with LiveBytes() as live:
        leaf = torch.ones(KIB, dtype=torch.float32, requires_grad=True)
        loss = (leaf.sin().exp()).sum()
        kept = live.now
        loss.backward()
        del loss
    assert kept == 2 * 4 * KIB + 4, "leaf, exp and the loss; nothing needs the sine"
    assert live.now == 2 * 4 * KIB, "leaf and its gradient are left"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_libraries_that_allocate_beside_torch_run_out_of_memory_too(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        ValueError("CUDNN_STATUS_ALLOC_FAILED is a status"),
    ],
)
def test_other_faults_of_a_gpu_are_no_shortage_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_the_peak_on_a_gpu_is_what_was_reserved_graphs_included(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, answer in (("max_memory_reserved", 7 * KIB), ("max_memory_allocated", 5 * KIB)):
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: answer)
    for name in ("empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)

    with peak_memory("cuda", resident_bytes=0) as peak:
        pass
    assert peak.num_bytes == 7 * KIB
