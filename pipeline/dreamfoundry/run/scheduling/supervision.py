"""Workers that die, hang or fail: who is charged, who is retired, when the run aborts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from dreamfoundry.host.log_events import log_event
from dreamfoundry.run.messages import Blame, DrainNode, Fault, KillWorker
from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.completion import Completions
from dreamfoundry.run.scheduling.field_job import FieldJob
from dreamfoundry.run.scheduling.run_stats import RunStats
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.run.scheduling.worker_pool import Worker, WorkerPool

LOG = logging.getLogger(__name__)

MAX_NODE_DEATHS = 2
"""Deaths in a row, in set-up and for the device of one node, after which it is drained."""

MAX_FAULTS = 3
"""Faults of one worker in a row after which it is not started again."""


class Supervisor:
    """Applies the rules of blame (see `scheduler`). `abort_cause` is set when no worker of a kind is left."""

    def __init__(
        self,
        backlog: Backlog,
        pool: WorkerPool,
        stats: RunStats,
        completions: Completions,
        *,
        clock: Callable[[], float],
        send: Callable[[KillWorker | DrainNode], None],
        note: Callable[[str], None],
    ) -> None:
        self._backlog, self._pool, self._stats, self._completions = backlog, pool, stats, completions
        self._clock, self._send, self._note = clock, send, note
        self._node_deaths: Counter[str] = Counter()
        self.abort_cause: str | None = None

    def kill_overdue(self, limits: Limits) -> None:
        """Kill workers whose answer is overdue."""
        for worker in self._pool:
            limit_s = worker.limit_s(limits)
            if self._clock() - worker.since_s > limit_s:
                cause = f"{worker.name} gave no answer within {limit_s:.0f} s while {worker.state}"
                self.kill(worker, cause, "device" if worker.state == "starting" else "itself")

    def trust(self, node: str) -> None:
        """A worker is ready on `node`: deaths there from now on are counted anew."""
        self._node_deaths.pop(node, None)

    def worker_died(self, name: str, cause: str, blame: Blame = "itself") -> None:
        """A worker's process is gone, or its set-up has failed."""
        worker = self._pool[name]
        build = worker.build
        if blame == "device" and worker.node and not worker.is_leaving:
            self._count_node_death(worker.node, cause)
        is_innocent = worker.is_leaving or blame == "node" or (blame == "memory" and self.reduce_capacity(worker))
        jobs = self._vacate(worker)
        worker.vanish()
        for job in jobs:
            job.start_over()
        log_event(
            LOG,
            "worker_died",
            logging.WARNING,
            worker=name,
            blame="nobody" if is_innocent else blame,
            cause=cause,
            asset_key=build.asset_key if build is not None else None,
            field_keys=[job.key for job in jobs] or None,
        )

        # the rules of blame: see `scheduler`
        if is_innocent:
            for job in jobs:
                self._backlog.await_slot(job)
            self._backlog.await_export([build] if build is not None else [])
        elif build is not None:
            self._completions.export_died(build, cause)
        elif len(jobs) == 1:
            self._completions.charge(jobs[0], cause)
        elif jobs:
            for job in jobs:
                self._backlog.suspect(job)
                log_event(LOG, "field_suspected", field_key=job.key, asset_keys=job.asset_keys, worker=name)
        else:
            self.count_fault(worker, cause)

    def handle_fault(self, worker: Worker, fault: Fault | None) -> None:
        """Apply the rules to the fault of an answer; an answer without one ends a row of faults."""
        if fault is None:
            worker.recover()
        elif fault.out_of_memory:
            self.reduce_capacity(worker)
        elif fault.crashed:
            self.kill(worker, fault.message)
        else:
            self.count_fault(worker, fault.message)

    def reduce_capacity(self, worker: Worker) -> bool:
        """Give a worker less, where memory was short. False if it cannot have less."""
        is_reduced = self._pool.reduce_capacity(worker)
        log_event(LOG, "capacity_reduced" if is_reduced else "capacity_exhausted", logging.WARNING, worker=worker.name)
        return is_reduced

    def kill(self, worker: Worker, cause: str, blame: Blame = "itself") -> None:
        """End a process that cannot be trusted any more, as if it had died."""
        self._send(KillWorker(worker.name, cause))
        self.worker_died(worker.name, cause, blame)

    def _count_node_death(self, node: str, cause: str) -> None:
        """Count a death for the device of a node; after MAX_NODE_DEATHS in a row it gets no more work."""
        self._node_deaths[node] += 1
        if self._node_deaths[node] == MAX_NODE_DEATHS:
            self._send(DrainNode(node, cause))
            self._note(f"node {node} gets no more work, for {MAX_NODE_DEATHS} workers died in set-up there: {cause}")
            log_event(LOG, "node_drained", logging.ERROR, node=node, cause=cause)

    def _vacate(self, worker: Worker) -> list[FieldJob]:
        """Take everything out of a worker. All work since the checkpoints is lost."""
        if worker.state == "busy":
            worker.spend(self._clock())
        jobs = worker.empty()
        self._stats.lose(jobs)
        return jobs

    def count_fault(self, worker: Worker, cause: str) -> None:
        """Count a fault that is no prompt's; after MAX_FAULTS in a row the worker is retired."""
        faults = worker.count_fault()
        log_event(
            LOG,
            "worker_fault",
            logging.WARNING,
            worker=worker.name,
            faults=faults,
            max_faults=MAX_FAULTS,
            cause=cause,
        )
        if faults < MAX_FAULTS:
            return

        if worker.state != "absent":
            self._send(KillWorker(worker.name, cause))
        for job in self._vacate(worker):
            self._backlog.queue.push(job)
        worker.retire()
        log_event(LOG, "worker_retired", logging.ERROR, worker=worker.name, cause=cause)
        if self._pool.is_retired(worker.kind):
            self.abort_cause = cause
            log_event(LOG, "run_aborted", logging.ERROR, cause=cause)
