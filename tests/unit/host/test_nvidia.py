"""The driver of a machine, told from what its kernel module says, and compared with what a build of CUDA needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dreamfoundry.host.nvidia import OLDEST_DRIVERS, driver_fault, driver_version

PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (root@host)  Sun Jul 27"


@pytest.mark.parametrize(("text", "version"), [(PROPRIETARY, "535.104.05"), (OPEN, "580.65.06")])
def test_the_version_of_the_driver_is_that_of_its_kernel_module(text: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "version").write_text(f"{text}\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n")
    assert driver_version(tmp_path / "version") == version


def test_a_machine_without_a_driver_has_no_version_of_one(tmp_path: Path) -> None:
    assert driver_version(tmp_path / "version") == ""
    assert "no NVIDIA driver is loaded" in driver_fault("", "13.0")


@pytest.mark.parametrize(
    ("driver", "cuda"), [("580.65.06", "13.0"), ("590.1", "13.0"), ("535.104.05", "12.8"), ("450.1", "11.8")]
)
def test_a_driver_runs_what_was_built_for_its_time_and_before(driver: str, cuda: str) -> None:
    assert driver_fault(driver, cuda) == ""


def test_a_driver_that_is_too_old_is_named_with_the_one_that_is_needed() -> None:
    fault = driver_fault("535.104.05", "13.0")
    assert "driver 535.104.05 is too old" in fault
    assert "must be 580 or later" in fault


def test_a_torch_for_cpus_is_named_before_any_driver() -> None:
    assert "built for CPUs only" in driver_fault("580.65.06", None)


def test_the_table_knows_the_cuda_of_this_torch() -> None:
    cuda = torch.version.cuda
    assert cuda is None or int(cuda.split(".")[0]) in OLDEST_DRIVERS
