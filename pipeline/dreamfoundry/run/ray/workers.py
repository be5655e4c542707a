"""Distillers and exporters as Ray actors.

Actors never restart and calls are never retried by Ray: with `max_restarts=0` a death is
a definite error within milliseconds, and each incarnation gets a fresh handle. What happens then
is the scheduler's decision. Only keys and numbers pass through Ray.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError

from dreamfoundry.errors import DeviceUnavailable, DreamfoundryError, InfrastructureError, PriorUnavailable
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT
from dreamfoundry.host.log_events import log_event, start_recording
from dreamfoundry.run.messages import (
    Answer,
    Blame,
    Died,
    Export,
    ExportReport,
    Placed,
    Ready,
    RunSlice,
    SliceReport,
    SlotsFit,
    WorkerKind,
    WorkerSettings,
)
from dreamfoundry.run.ray import nodes
from dreamfoundry.run.scheduling.supervision import MAX_NODE_DEATHS
from dreamfoundry.settings.recipe import Recipe

LOG = logging.getLogger(__name__)

NAMESPACE = "dreamfoundry"

DRAIN_POLL_S = 2.0
"""Time between two polls for draining nodes."""

ANSWER_TIMEOUT_S = 60.0
"""A small answer that Ray calls ready is fetched within this, or its worker counts as dead. A head that does not
answer within it ends the run: on a machine with too much to do it may well need 10 s."""

PREFLIGHT_TIMEOUT_S = 1800.0
"""Within this a node is allocated, the prior fetched and loaded, and a few dozen steps are made."""


PREFLIGHT_TRIES = MAX_NODE_DEATHS + 1
"""Of slots before a run, where the GPU of a node is at fault."""


class DistillActor:
    """One prior and its slots in a process of their own. torch is imported here, not in the driver."""

    def setup(self, settings: WorkerSettings) -> Ready | Died:
        _record_events(settings)
        try:
            from dreamfoundry.run.workers.distiller import open_distiller

            self._distiller = open_distiller(settings)
        except DreamfoundryError as error:
            blame: Blame = "device" if isinstance(error, DeviceUnavailable) else "itself"
            return Died(f"{type(error).__name__}: {error}", blame)
        return self._distiller.ready()

    def run_slice(self, command: RunSlice) -> SliceReport:
        return self._distiller.run_slice(command)

    def hand_back(self) -> SliceReport:
        return self._distiller.hand_back()

    @ray.method(concurrency_group="control")
    def place(self) -> Placed:
        """The node of this process; answers during set-up."""
        return Placed(ray.get_runtime_context().get_node_id())

    @ray.method(concurrency_group="control")
    def pid(self) -> int:
        """Process id; answers while a slice runs."""
        return os.getpid()


class ExportActor:
    """One export at a time; the child in which it runs dies with this process and sees no GPU."""

    def setup(self, settings: WorkerSettings) -> Ready | Died:
        _record_events(settings)
        try:
            from dreamfoundry.run.workers.exporter import open_exporter

            self._exporter = open_exporter(settings)
        except DreamfoundryError as error:
            return Died(f"{type(error).__name__}: {error}")
        return Ready()

    def export(self, command: Export) -> ExportReport:
        return self._exporter.export(command.task)

    @ray.method(concurrency_group="control")
    def place(self) -> Placed:
        """The node of this process; answers during set-up."""
        return Placed(ray.get_runtime_context().get_node_id())

    @ray.method(concurrency_group="control")
    def pid(self) -> int:
        """Process id; answers while an export runs."""
        return os.getpid()


def slots_that_fit(settings: WorkerSettings, recipe: Recipe, most_slots: int, num_slots: int = 0) -> SlotsFit:
    """Try out slots, or `num_slots`, where a distiller would run, before there are any; PriorUnavailable if none fits.

    A node whose GPU cannot be used is treated as in a run: drained after MAX_NODE_DEATHS, and others are tried.
    """
    num_gpus = 1 if settings.device.startswith("cuda") else 0
    remote: Any = ray.remote  # its process, and what that holds of the GPU, goes with the call
    task = remote(num_cpus=1, num_gpus=num_gpus, max_retries=0, max_calls=1)(_slots_that_fit_here)
    return first_fit(
        lambda: _fetch(task.remote(settings, recipe, most_slots, num_slots), PREFLIGHT_TIMEOUT_S), drain_if_others
    )


def first_fit(try_out: Callable[[], tuple[str, SlotsFit | Died] | Died], drain: Callable[[str], None]) -> SlotsFit:
    """The first answer of `try_out` that is not the fault of a node's GPU, within PREFLIGHT_TRIES."""
    deaths: Counter[str] = Counter()
    while True:
        answer = try_out()
        node, fit = ("", answer) if isinstance(answer, Died) else answer
        if isinstance(fit, SlotsFit):
            return fit
        deaths[node] += 1
        if fit.blame != "device" or deaths.total() == PREFLIGHT_TRIES:
            raise PriorUnavailable(fit.cause)
        if deaths[node] == MAX_NODE_DEATHS:
            drain(node)


def _slots_that_fit_here(
    settings: WorkerSettings, recipe: Recipe, most_slots: int, num_slots: int
) -> tuple[str, SlotsFit | Died]:
    from dreamfoundry.run.workers import distiller  # brings torch, which the driver does without

    node = ray.get_runtime_context().get_node_id()
    try:
        return node, distiller.slots_that_fit(settings, recipe, most_slots, num_slots)
    except DeviceUnavailable as error:
        return node, Died(str(error), "device")
    except DreamfoundryError as error:
        return node, Died(str(error))


def drain_if_others(node: str) -> None:
    """Drain a node, but never that of this driver: the run would end with it."""
    if node == ray.get_runtime_context().get_node_id():
        return
    try:
        nodes.drain(node, "distill workers cannot be set up there")
    except InfrastructureError as error:
        log_event(LOG, "node_not_drained", logging.WARNING, node=node, cause=str(error))


ACTORS: Mapping[WorkerKind, type] = {"distiller": DistillActor, "exporter": ExportActor}


def _record_events(settings: WorkerSettings) -> None:
    """Write log events of this actor to its stderr, which is one of Ray's log files, until it ends."""
    if not settings.logs_events:
        return
    run_id, worker, incarnation = str(ray.get_runtime_context().get_actor_name()).split("/")
    fields = {"run_id": run_id, "worker": worker, "incarnation": int(incarnation)}
    start_recording(Path(settings.log_file) if settings.log_file else None, sys.stderr, fields)


class RayWorkers:
    """Implements the driver's `Workers`.

    The actors of a run are named "{run_id}/{worker}/{incarnation}" in NAMESPACE, so that others
    than the driver can read their `pid`. `classes` are other classes with the same methods.
    """

    def __init__(self, settings: WorkerSettings, run_id: str, classes: Mapping[WorkerKind, type] = ACTORS) -> None:
        self._settings, self._run_id, self._classes = settings, run_id, classes
        self._actors: dict[str, Any] = {}
        self._calls: dict[Any, str] = {}  # ObjectRef -> worker
        self._nodes: dict[str, str] = {}  # worker -> node id
        self._draining: Collection[str] = ()  # node ids
        self._polled_s = float("-inf")
        self._incarnations: Counter[str] = Counter()

    def start(self, worker: str, kind: WorkerKind) -> None:
        self._incarnations[worker] += 1
        num_gpus = 1 if kind == "distiller" and self._settings.device.startswith("cuda") else 0
        env_vars = {"PYTHONWARNINGS": "ignore", **(CPU_ENVIRONMENT if kind == "distiller" else {})}
        remote: Any = ray.remote  # its annotations lack concurrency_groups
        actor = remote(
            num_cpus=1, num_gpus=num_gpus, max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1}
        )(self._classes[kind])
        self._actors[worker] = actor.options(
            name=f"{self._run_id}/{worker}/{self._incarnations[worker]}",
            namespace=NAMESPACE,
            runtime_env={"env_vars": env_vars},
        ).remote()
        self._calls[self._actors[worker].place.remote()] = worker
        self._calls[self._actors[worker].setup.remote(self._settings)] = worker

    def run_slice(self, command: RunSlice) -> None:
        self._calls[self._actors[command.worker].run_slice.remote(command)] = command.worker

    def hand_back(self, worker: str) -> None:
        self._calls[self._actors[worker].hand_back.remote()] = worker

    def leaving(self) -> Collection[str]:
        if time.monotonic() - self._polled_s > DRAIN_POLL_S:
            self._polled_s = time.monotonic()
            self._draining = nodes.draining(timeout_s=ANSWER_TIMEOUT_S)
        return [worker for worker, node in self._nodes.items() if node in self._draining]

    def export(self, command: Export) -> None:
        self._calls[self._actors[command.worker].export.remote(command)] = command.worker

    def kill(self, worker: str) -> None:
        self._calls = {call: name for call, name in self._calls.items() if name != worker}
        self._nodes.pop(worker, None)
        actor = self._actors.pop(worker, None)
        if actor is not None:
            ray.kill(actor, no_restart=True)

    def wait(self, timeout_s: float) -> list[Answer]:
        if not self._calls:
            time.sleep(timeout_s)
            return []
        done, _ = ray.wait(list(self._calls), num_returns=1, timeout=timeout_s)
        return [self._answer(self._calls.pop(call), _fetch(call)) for call in done]

    def _answer(self, worker: str, value: Any) -> Answer:
        match value:
            case Placed(node):
                self._nodes[worker] = node
            case Died() if self._is_without_node(worker):
                value = replace(value, blame="node")
        return Answer(worker, value)

    def _is_without_node(self, worker: str) -> bool:
        """True if the node of `worker` is known and gone."""
        node = self._nodes.get(worker)
        return node is not None and node not in nodes.alive_nodes(timeout_s=ANSWER_TIMEOUT_S)

    def drain(self, node: str) -> None:
        drain_if_others(node)

    def close(self) -> None:
        for worker in list(self._actors):
            self.kill(worker)


def _fetch(call: Any, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
    """The answer of a call, or Died with Ray's error."""
    try:
        return ray.get(call, timeout=timeout_s)
    except RayError as error:
        blame: Blame = "memory" if isinstance(error, OutOfMemoryError) else "itself"
        plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
        return Died(f"{type(error).__name__}: {' '.join(plain.split())[:500]}", blame)
