"""The next command of each worker: start, distil a slice, export, hand back, or end."""

from __future__ import annotations

import logging

from dreamfoundry.host.log_events import log_event
from dreamfoundry.run.messages import (
    Command,
    Export,
    ExportTask,
    FieldTask,
    HandBack,
    KillWorker,
    RunSlice,
    StartWorker,
)
from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.completion import Completions
from dreamfoundry.run.scheduling.slot_filling import SlotFiller
from dreamfoundry.run.scheduling.worker_pool import Worker, WorkerPool

LOG = logging.getLogger(__name__)


class Dispatcher:
    """Gives work to workers that are free. After `stop` nothing new begins and slots are emptied."""

    def __init__(self, backlog: Backlog, pool: WorkerPool, completions: Completions, *, slice_s: float) -> None:
        self._backlog, self._pool, self._completions, self._slice_s = backlog, pool, completions, slice_s
        self._slots = SlotFiller(backlog, pool, completions)
        self._is_stopping = False

    def stop(self) -> None:
        """Begin nothing new."""
        self._is_stopping = True

    def next_command(self, worker: Worker) -> Command | None:
        """The next command of this worker; None if it is busy, or there is nothing for it."""
        return self._next_slice(worker) if worker.kind == "distiller" else self._next_export(worker)

    def _next_slice(self, worker: Worker) -> Command | None:
        if worker.state == "absent":
            return self._start(worker, len(self._backlog.queue))
        if worker.state != "idle":
            return None
        if self._is_stopping or worker.is_leaving or not all(job.is_claimed for job in worker.fields.values()):
            return self._empty(worker)

        added = self._slots.refill(worker)
        if not worker.fields:
            return None
        worker.mark_busy()
        for job in added:
            log_event(LOG, "field_started", field_key=job.key, asset_keys=job.asset_keys, worker=worker.name)
        tasks = tuple(FieldTask(job.builds[0].prompt, job.key, job.epoch, job.lost_snapshot) for job in added)
        recipe = next(iter(worker.fields.values())).recipe
        return RunSlice(worker.name, recipe, worker.num_slots, tasks, self._slice_s)

    def _next_export(self, worker: Worker) -> Command | None:
        if worker.state == "absent":
            return self._start(worker, self._backlog.num_exports)
        if worker.state == "idle" and (self._is_stopping or worker.is_leaving):
            return self._empty(worker)

        while worker.state == "idle" and (build := self._backlog.next_export()) is not None:
            job = self._backlog.fields.get(build.field_key)
            if job is None or job.snapshot is None:
                continue
            if self._completions.claim(job) and self._backlog.is_open(build):  # a claim may show that it has ended
                worker.mark_busy(build)
                log_event(
                    LOG, "export_started", asset_key=build.asset_key, field_key=build.field_key, worker=worker.name
                )
                task = ExportTask(
                    build, job.snapshot, job.deaths + 1, job.optimize_s, job.resumed_from_step, job.kernels
                )
                return Export(worker.name, task)
        return None

    def _start(self, worker: Worker, num_tasks: int) -> StartWorker | None:
        """Start a worker if there are more tasks than workers of its kind at hand for them."""
        if self._is_stopping or num_tasks <= self._pool.num_free(worker.kind):
            return None
        worker.start()
        log_event(LOG, "worker_starting", worker=worker.name)
        return StartWorker(worker.name, worker.kind)

    def _empty(self, worker: Worker) -> Command | None:
        """Have the fields handed back; an empty worker whose node is about to go ends."""
        if worker.fields:
            worker.mark_busy()
            return HandBack(worker.name)
        if not worker.is_leaving:
            return None
        worker.vanish()
        return KillWorker(worker.name, "its node is about to go")
