"""A device is tried before anything is loaded onto it."""

from __future__ import annotations

import pytest
import torch

from dreamfoundry.distill import device as device_module
from dreamfoundry.distill.device import require_kernels, try_device
from dreamfoundry.errors import DeviceUnavailable


def test_a_cpu_computes_and_takes_plain_torch_code() -> None:
    assert try_device("cpu") == "none: plain torch code serves on a CPU"
    require_kernels("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_named_with_the_reason_and_what_would_help() -> None:
    with pytest.raises(DeviceUnavailable, match=r"device 'cuda' of .* cannot be used: .*(built for CPUs only|driver)"):
        try_device("cuda")


def test_a_device_that_cannot_compute_is_no_device() -> None:
    with pytest.raises(DeviceUnavailable, match=r"device 'meta' of .* cannot be used"):
        try_device("meta")


def test_figures_of_a_gpu_without_kernels_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "try_device", lambda device: "none: Triton cannot build kernels here (no gcc)")
    with pytest.raises(DeviceUnavailable, match=r"kernels on 'cuda': none: .*no gcc"):
        require_kernels("cuda")
