"""Processes of the benchmark: one measurement each, started one by one or all at the same moment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from dreamfoundry.evaluation.benchmark.measurements import Figures
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT

QUIET = {"DIFFUSERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Their bars and notes about weights, from dozens of processes, would bury the figures."""

Process = subprocess.Popen[str]


@dataclass(frozen=True)
class Children:
    """Starts measurements: `command` is the program, `shared` the arguments that all of them are given.

    `device` is the one that `shared` names: it decides how many threads a process of several has.
    """

    command: Sequence[str]
    shared: Sequence[str]
    device: str

    def measure(self, measurement: str, **options: object) -> Figures:
        """Figures of one measurement. SystemExit with the exit code of a process that fails."""
        with self._start(measurement, options) as process:
            output = process.communicate()[0]
        if process.returncode:
            raise SystemExit(process.returncode)
        figures: Figures = json.loads(output.splitlines()[-1])
        return figures

    def _start(self, measurement: str, options: Mapping[str, object]) -> Process:
        words = [f"--{key}={value}" for key, value in options.items()]
        # the environment of distillers, so that a step costs what it costs in production
        environment = {**os.environ, **CPU_ENVIRONMENT, **QUIET}
        return subprocess.Popen(
            [*self.command, measurement, *self.shared, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def _start_warm(self, measurement: str, **options: object) -> Process:
        """A process that has done everything but the measurement itself."""
        process = self._start(measurement, options)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("error: a process of the benchmark ended before it was ready")
        return process

    def _rates(self, case: str, count: int, threads: int) -> list[float]:
        """Steps per second of each of `count` processes at once."""
        processes = [self._start_warm("rate", case=case, threads=threads) for _ in range(count)]
        _release(processes)
        return [figures["steps_per_s"] for figures in _collect(processes)]

    def side_by_side(self, case: str, count: int, num_rounds: int) -> Figures:
        """Steps per second of `count` processes at once, and as a share of `count` times one alone."""
        threads = 0 if self.device == "cuda" else 1
        alone, together = [], []
        for _ in range(num_rounds):
            alone.append(sum(self._rates(case, 1, threads)))
            together.append(sum(self._rates(case, count, threads)))
        share = median(pair / (count * one) for one, pair in zip(alone, together, strict=True))
        return {
            "case": case,
            "count": count,
            "threads": threads,
            "steps_per_s": median(together),
            "share_of_linear": share,
        }

    def beside_exports(self, case: str, count: int, num_rounds: int) -> Figures:
        """Share of the steps that one process keeps while `count` others export; the rest is waiting for the CPU."""
        kept, exports_per_hour = [], []
        for _ in range(num_rounds):
            (alone,) = self._rates(case, 1, 0)
            exporters = [self._start_warm("export", threads=1) for _ in range(count)]
            _release(exporters)
            (beside,) = self._rates(case, 1, 0)
            kept.append(beside / alone)
            exports_per_hour.append(sum(figures["exports_per_hour"] for figures in _collect(exporters)))
        return {
            "case": case,
            "count": count,
            "share_kept": median(kept),
            "exports_per_hour": median(exports_per_hour),
        }


def _release(processes: Sequence[Process]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def _collect(processes: Sequence[Process]) -> list[Figures]:
    """Figures of processes at their end. Closing their input here ends the open-ended ones."""
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
