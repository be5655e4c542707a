"""The loop of a run: carry out the scheduler's commands and feed the answers back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol, runtime_checkable

from dreamfoundry.errors import InfrastructureError
from dreamfoundry.host.log_events import log_event
from dreamfoundry.run.messages import (
    Answer,
    Command,
    Decision,
    Died,
    DrainNode,
    Export,
    ExportReport,
    HandBack,
    KillWorker,
    Placed,
    Quarantine,
    Ready,
    RunSlice,
    SliceReport,
    StartWorker,
    WorkerKind,
)
from dreamfoundry.run.scheduling.run_stats import Status
from dreamfoundry.run.scheduling.scheduler import Scheduler

LOG = logging.getLogger(__name__)

TURN_S = 0.5
"""Longest time between two checks of progress, limits and a request to stop."""


@runtime_checkable
class Workers(Protocol):
    """The worker processes of a run. Every started call leads to one Answer, unless it is killed."""

    def start(self, worker: str, kind: WorkerKind) -> None:
        """A fresh process for `worker`; answers Ready or Died, and Placed before that where machines have names."""

    def run_slice(self, command: RunSlice) -> None:
        """Answers SliceReport or Died."""

    def hand_back(self, worker: str) -> None:
        """Answers SliceReport or Died."""

    def export(self, command: Export) -> None:
        """Answers ExportReport or Died."""

    def leaving(self) -> Collection[str]:
        """Workers on machines that are about to go."""
        ...

    def kill(self, worker: str) -> None:
        """End the process; its answers are dropped. A worker that is not there is fine."""

    def wait(self, timeout_s: float) -> list[Answer]:
        """Answers that have come in, after at most about `timeout_s` when there are none."""
        ...

    def drain(self, node: str) -> None:
        """Let nothing more be placed on `node`, if that is possible; its workers are leaving from then on."""

    def close(self) -> None:
        """End every process."""


def drive(
    scheduler: Scheduler,
    workers: Workers,
    *,
    quarantine: Callable[[Quarantine], Decision],
    on_status: Callable[[Status], None],
    on_note: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> None:
    """Run until every build has ended, or until everything is in a safe place after `should_stop()`.

    `quarantine` writes a quarantined outcome and returns the decision that stands; notes are for the operator.
    Raises InfrastructureError with the cause when no worker of a kind can be kept alive.
    """
    deadline_s = float("inf")
    try:
        while not (scheduler.is_finished or scheduler.is_drained or time.monotonic() > deadline_s):
            if should_stop() and not scheduler.is_stopping:
                scheduler.stop()
                deadline_s = time.monotonic() + scheduler.limits.drain_s

            scheduler.leave(workers.leaving())
            for command in scheduler.commands():
                _carry_out(command, scheduler, workers, quarantine)

            started_s = time.monotonic()
            answers = workers.wait(TURN_S)
            for answer in answers:
                _feed_back(answer, scheduler, workers)

            on_status(scheduler.status())
            for note in scheduler.take_notes():
                on_note(note)

            # with no call under way `wait` may return early, and a lease of another run may be all that is left
            if not answers and not scheduler.is_finished:
                time.sleep(max(0.0, TURN_S - (time.monotonic() - started_s)))
    finally:
        workers.close()

    if scheduler.is_stopping:
        left_s = deadline_s - time.monotonic()
        log_event(LOG, "drain_ended", is_drained=scheduler.is_drained, seconds=scheduler.limits.drain_s - left_s)
    if scheduler.abort_cause is not None:
        raise InfrastructureError(scheduler.abort_cause)


def _carry_out(
    command: Command, scheduler: Scheduler, workers: Workers, quarantine: Callable[[Quarantine], Decision]
) -> None:
    match command:
        case StartWorker(worker, kind):
            workers.start(worker, kind)
        case KillWorker(worker):
            workers.kill(worker)
        case DrainNode(node):
            workers.drain(node)
        case RunSlice():
            workers.run_slice(command)
        case HandBack(worker):
            workers.hand_back(worker)
        case Export():
            workers.export(command)
        case Quarantine(build):
            scheduler.decided(build.asset_key, quarantine(command))


def _feed_back(answer: Answer, scheduler: Scheduler, workers: Workers) -> None:
    match answer.value:
        case Placed(node):
            scheduler.worker_placed(answer.worker, node)
        case Ready() as ready:
            scheduler.worker_ready(answer.worker, ready)
        case SliceReport() as report:
            scheduler.slice_ended(answer.worker, report)
        case ExportReport() as report:
            scheduler.export_ended(answer.worker, report)
        case Died(cause, blame):
            workers.kill(answer.worker)
            scheduler.worker_died(answer.worker, cause, blame)
