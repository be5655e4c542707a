"""Kernels equal their twins in Triton's interpreter, compile for a GPU that is not here, and stay off the CPU."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from dreamfoundry.nerf.kernels import availability

INTERPRETED = Path(__file__).with_name("interpreted_kernels.py")


def test_every_kernel_equals_its_twin_in_the_interpreter() -> None:
    """In a process of its own: triton reads TRITON_INTERPRET once, as it is imported."""
    pytest.importorskip("triton", reason="triton has wheels for Linux only")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(INTERPRETED)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, cwd=INTERPRETED.parents[2], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(r"^\d\d passed", done.stdout.splitlines()[-1]), "tests were left out"


HASH_SIZES = {"HASH_MASK": 2**19 - 1, "BOUND": 1.0, "NUM_LEVELS": 16, "NUM_FEATURES": 2, "FEATURES": 2, "POINTS": 256}
RAY_SIZES = {"RAYS": 16, "SAMPLES": 64}
ADAM_SIZES = {"BETA_MEAN": 0.9, "BETA_SQUARE": 0.99, "EPS": 1e-15, "VALUES": 1024}


@pytest.mark.parametrize(
    ("module", "name", "arguments", "sizes"),
    [
        ("hash_encoding", "_forward", "*fp32 *fp32 *fp32 *i32 i32 i32", HASH_SIZES),
        ("hash_encoding", "_backward", "*fp32 *fp32 *fp32 *i32 i32 i32", HASH_SIZES),
        ("compositing", "_forward", "*fp32 " * 7 + "i32 i32", RAY_SIZES),
        ("compositing", "_backward", "*fp32 " * 7 + "i32 i32", RAY_SIZES),
        ("slot_adam", "_step", "*fp32 " * 7 + "*i8 i32", ADAM_SIZES),
        ("probe", "_set_to_one", "*fp32", {}),
    ],
)
def test_a_kernel_becomes_machine_code_of_an_h100(
    module: str, name: str, arguments: str, sizes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton", reason="triton has wheels for Linux only")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import importlib

    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = getattr(importlib.import_module(f"dreamfoundry.nerf.kernels.{module}"), name)
    types = iter(arguments.split())
    signature = {each: "constexpr" if each in sizes else next(types) for each in kernel.arg_names}
    constants = {(kernel.arg_names.index(each),): value for each, value in sizes.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of triton about defaults of its next version
        built = triton.compile(ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 90, 32))

    assert built.asm["cubin"]


def test_the_cpu_never_asks_for_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_obstacle", lambda: pytest.fail("asked"))

    assert not availability.has_kernels(torch.device("cpu"))


class PTXASError(Exception):
    """As those of Triton's compiler, which have no ancestor but Exception in common with others."""


@pytest.mark.parametrize(
    "failure",
    [
        ImportError("No module named 'triton'"),
        RuntimeError("Failed to find C compiler"),
        PTXASError("ptxas fatal: Value 'sm_999' is not defined"),
    ],
)
def test_where_kernels_cannot_be_built_one_warning_says_why(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe() -> None:
        raise failure

    pytest.importorskip("triton", reason="triton has wheels for Linux only")
    monkeypatch.setattr("dreamfoundry.nerf.kernels.probe.probe", probe)
    availability._obstacle.cache_clear()
    with pytest.warns(RuntimeWarning, match="C compiler") as warned:
        answers = [availability.has_kernels(torch.device("cuda")) for _ in range(3)]
    words = [availability.kernels_in_words(torch.device("cuda")) for _ in range(2)]
    availability._obstacle.cache_clear()

    assert answers == [False] * 3
    assert len(warned) == 1
    assert str(failure) in str(warned[0].message)
    assert words == [f"none: Triton cannot build kernels here ({type(failure).__name__}: {failure})"] * 2


def test_a_gpu_without_memory_says_nothing_about_kernels_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def probe() -> None:
        tries.append("probe")
        if len(tries) == 1:
            raise torch.OutOfMemoryError("tried to allocate 2 MiB")

    pytest.importorskip("triton", reason="triton has wheels for Linux only")
    monkeypatch.setattr("dreamfoundry.nerf.kernels.probe.probe", probe)
    availability._obstacle.cache_clear()
    with pytest.raises(torch.OutOfMemoryError):
        availability.has_kernels(torch.device("cuda"))
    assert availability.has_kernels(torch.device("cuda"))
    assert availability.kernels_in_words(torch.device("cuda")).startswith("triton ")
    availability._obstacle.cache_clear()
    assert len(tries) == 2
