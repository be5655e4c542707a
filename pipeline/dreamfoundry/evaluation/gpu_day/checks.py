"""The tests under tests/gpu, a case for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dreamfoundry.evaluation.gpu_day.task import Emit, Task

FOLDER = Path(__file__).resolve().parents[4] / "tests" / "gpu"


def kernel_checks(task: Task, emit: Emit) -> None:
    """Our kernels against their twins, and steps that wait for nothing."""
    _check(["test_kernels.py"], emit)


def prior_checks(task: Task, emit: Emit) -> None:
    """Replay, the way to the latents and back, half precision, memory."""
    _check(["test_cuda_prior.py", "test_device_memory.py"], emit)


def _check(files: Sequence[str], emit: Emit) -> None:
    """Run the tests of some files. One that fails is a figure; SystemExit if they cannot be run at all."""
    import pytest  # such a machine has it; a worker's image has not

    options = ["-c", str(FOLDER / "pytest.ini"), "--rootdir", str(FOLDER), "--confcutdir", str(FOLDER)]
    status = pytest.main([*options, *(str(FOLDER / file) for file in files)], plugins=[_Reporter(emit)])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(f"error: pytest ended with {status!r}")


class _Reporter:
    """A plugin of pytest that emits each test as soon as it has ended."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest for the three phases of a test; one that passes its set-up is judged by its call."""
        if report.when == "call" or report.outcome != "passed":
            words = report.longreprtext.strip().splitlines()[-1:] or [""]
            figures = {"outcome": report.outcome, "seconds": round(report.duration, 2), "words": words[0]}
            self._emit(report.nodeid.rpartition("::")[2], figures)
