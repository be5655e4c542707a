"""Optimizers and exporters as Ray actors.

Actors never restart and calls are never retried by Ray: with `max_restarts=0` a death is seen as
a definite error within milliseconds, and each incarnation gets a fresh handle. What happens then
is the scheduler's decision. Only keys and numbers pass through Ray.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from typing import Any

import ray
from ray.exceptions import RayError

from dreamfoundry.allocation import LARGE_ALLOCATIONS
from dreamfoundry.cluster.messages import (
    Answer,
    Died,
    Export,
    ExportReport,
    Ready,
    RunSlice,
    SliceReport,
    WorkerKind,
    WorkerSettings,
)
from dreamfoundry.errors import DreamfoundryError

NAMESPACE = "dreamfoundry"

ANSWER_TIMEOUT_S = 60.0
"""A small answer that Ray calls ready is fetched within this, or its worker counts as dead."""


class OptimizerActor:
    """One prior and its slots in a process of their own. torch is imported here, not in the driver."""

    def setup(self, settings: WorkerSettings) -> Ready | Died:
        try:
            from dreamfoundry.cluster.optimizer import open_optimizer

            self._optimizer = open_optimizer(settings)
        except DreamfoundryError as error:
            return Died(f"{type(error).__name__}: {error}")
        return Ready()

    def run_slice(self, command: RunSlice) -> SliceReport:
        return self._optimizer.run_slice(command)

    @ray.method(concurrency_group="control")
    def pid(self) -> int:
        """Process id; answers while a slice runs."""
        return os.getpid()


class ExportActor:
    """One export at a time; the child in which it runs dies with this process and sees no GPU."""

    def setup(self, settings: WorkerSettings) -> Ready | Died:
        try:
            from dreamfoundry.cluster.exporter import open_exporter

            self._exporter = open_exporter(settings)
        except DreamfoundryError as error:
            return Died(f"{type(error).__name__}: {error}")
        return Ready()

    def export(self, command: Export) -> ExportReport:
        return self._exporter.export(command.task)

    @ray.method(concurrency_group="control")
    def pid(self) -> int:
        """Process id; answers while an export runs."""
        return os.getpid()


class RayWorkers:
    """Implements the driver's `Workers`.

    The actors of a run are named "{run_id}/{worker}/{incarnation}" in NAMESPACE, so that somebody
    beside the driver can ask for their `pid`.
    """

    def __init__(self, settings: WorkerSettings, run_id: str) -> None:
        self._settings, self._run_id = settings, run_id
        self._actors: dict[str, Any] = {}
        self._calls: dict[Any, str] = {}  # ObjectRef -> worker
        self._incarnations: Counter[str] = Counter()

    def start(self, worker: str, kind: WorkerKind) -> None:
        self._incarnations[worker] += 1
        num_gpus = 1 if kind == "optimizer" and self._settings.device.startswith("cuda") else 0
        env_vars = {"PYTHONWARNINGS": "ignore", **(LARGE_ALLOCATIONS if kind == "optimizer" else {})}
        remote: Any = ray.remote  # its annotations lack concurrency_groups
        actor = remote(
            num_cpus=1, num_gpus=num_gpus, max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1}
        )(OptimizerActor if kind == "optimizer" else ExportActor)
        self._actors[worker] = actor.options(
            name=f"{self._run_id}/{worker}/{self._incarnations[worker]}",
            namespace=NAMESPACE,
            runtime_env={"env_vars": env_vars},
        ).remote()
        self._calls[self._actors[worker].setup.remote(self._settings)] = worker

    def run_slice(self, command: RunSlice) -> None:
        self._calls[self._actors[command.worker].run_slice.remote(command)] = command.worker

    def export(self, command: Export) -> None:
        self._calls[self._actors[command.worker].export.remote(command)] = command.worker

    def kill(self, worker: str) -> None:
        self._calls = {call: name for call, name in self._calls.items() if name != worker}
        actor = self._actors.pop(worker, None)
        if actor is not None:
            ray.kill(actor, no_restart=True)

    def wait(self, timeout_s: float) -> list[Answer]:
        if not self._calls:
            time.sleep(timeout_s)
            return []
        done, _ = ray.wait(list(self._calls), num_returns=1, timeout=timeout_s)
        return [Answer(self._calls.pop(call), _fetch(call)) for call in done]

    def close(self) -> None:
        for worker in list(self._actors):
            self.kill(worker)


def _fetch(call: Any) -> Any:
    """The answer of a call, or Died with what Ray says about it."""
    try:
        return ray.get(call, timeout=ANSWER_TIMEOUT_S)
    except RayError as error:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
        return Died(f"{type(error).__name__}: {' '.join(plain.split())[:500]}")
