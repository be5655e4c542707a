"""The state machine of a run, pure. Events in, commands out, no Ray, an injected clock.

    field:  waiting -> optimizing -> optimized | failed
    build:  (its field) -> ready -> exporting -> published | quarantined

A field serves every build that needs it, so it is optimised once. What happens after a bad event
follows from its class:

- a PromptFailure quarantines its builds;
- when a distiller dies, everything in its slots becomes a suspect and is run again *alone*,
  after the healthy ones; only a death while alone is charged, and after MAX_DEATHS charges the
  field is quarantined as `worker_died`;
- a stored field that cannot be read is optimised again, once; then it is quarantined as `snapshot_lost`;
- an exporter tries a deadly export in a child of its own and survives it. Should it die all the
  same, its build is exported again, MAX_DEATHS times at most; the field is not charged;
- a death with its node, or of a worker whose node was about to go, is charged to nobody;
- where memory is short, a distiller gets half the slots and a machine one exporter less;
- a node on which two set-ups in a row fail for its GPU, or take too long, is drained: its work goes elsewhere;
- a fault that is nobody's (weights, store, set-up) is counted per worker and reset by its next
  good answer; after MAX_FAULTS in a row the worker is retired, and when no worker of its kind is
  left the run aborts with the cause.

A worker whose node is about to go, or a run that is to stop, hands its fields back with their
checkpoints; nothing new is begun there.

All slots of a distiller share one recipe (the shape class), which changes only when they are
empty. While `2 x exporters` optimised builds wait for their export, slots are not refilled.

The work that waits is in `backlog`, the workers in `worker_pool`, their next commands in `dispatch` and
`slot_filling`, their deaths in `supervision`, the ends of builds in `completion`, the figures in `run_stats`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dreamfoundry.host.log_events import log_event
from dreamfoundry.run.messages import Blame, Build, Command, Decision, ExportReport, FinishedField, Ready, SliceReport
from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.completion import Completions
from dreamfoundry.run.scheduling.dispatch import Dispatcher
from dreamfoundry.run.scheduling.ports import SchedulerConfig, SchedulerPorts
from dreamfoundry.run.scheduling.run_stats import RunStats, Status
from dreamfoundry.run.scheduling.supervision import Supervisor
from dreamfoundry.run.scheduling.worker_pool import Worker, WorkerPool

LOG = logging.getLogger(__name__)


class Scheduler:
    """Drives every build to its end. Call `commands()` after each round of events."""

    def __init__(self, builds: Iterable[Build], config: SchedulerConfig, ports: SchedulerPorts) -> None:
        self.limits = config.limits
        self.is_stopping = False
        self._claims, self._clock = ports.claims, ports.clock
        self._outbox: list[Command] = []
        self._notes: list[str] = []

        # the state: work, workers, figures
        self._backlog = Backlog(
            builds,
            num_builds=config.num_builds,
            look_ahead=config.look_ahead,
            shape_class=ports.shape_class,
            clock=ports.clock,
            lease_s=config.limits.lease_s,
        )
        self._pool = WorkerPool(
            num_distill_workers=config.num_distill_workers,
            num_export_workers=config.num_export_workers,
            num_slots=config.num_slots,
        )
        self._stats = RunStats(ports.clock())

        # the rules, which act on the state and send commands of their own
        self._completions = Completions(
            self._backlog, self._stats, ports.claims, on_decision=ports.on_decision, send=self._outbox.append
        )
        self._dispatcher = Dispatcher(self._backlog, self._pool, self._completions, slice_s=config.limits.slice_s)
        self._supervisor = Supervisor(
            self._backlog,
            self._pool,
            self._stats,
            self._completions,
            clock=ports.clock,
            send=self._outbox.append,
            note=lambda text: self._notes.append(text),
        )

        self._backlog.take_more()

    @property
    def abort_cause(self) -> str | None:
        """The fault that ended the run early, if one did."""
        return self._supervisor.abort_cause

    @property
    def is_finished(self) -> bool:
        """Nothing is left to do, or nothing can be done."""
        return self.abort_cause is not None or self._backlog.is_empty

    @property
    def is_drained(self) -> bool:
        """True after `stop` when nothing is under way any more."""
        return self.is_stopping and self._pool.is_at_rest

    @property
    def num_delegated(self) -> int:
        """Builds that are left to other runs."""
        return self._stats.num_delegated

    def status(self) -> Status:
        """Count the builds by state."""
        return self._stats.status(self._backlog, self._pool)

    def take_notes(self) -> list[str]:
        """Notes of the workers for the operator since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def commands(self) -> list[Command]:
        """Commands to carry out now; each is given once."""
        self._stats.pass_time(self._clock(), self._pool.num_up("distiller"))
        self._supervisor.kill_overdue(self.limits)

        # more builds, minus those that other runs took, plus those that waited for leases
        if not self.is_stopping:
            self._backlog.take_more()
        for key in self._claims.lost():
            if self._backlog.lose_lease(key):
                log_event(LOG, "lease_lost", logging.WARNING, field_key=key)
        self._backlog.recall()

        for worker in self._pool:
            command = self._dispatcher.next_command(worker)
            if command is not None:
                worker.command(self._clock())
                self._outbox.append(command)
        commands = self._outbox.copy()
        self._outbox.clear()
        return commands

    def stop(self) -> None:
        """Begin nothing new, and bring all fields to a safe place: see `is_drained`."""
        self.is_stopping = True
        self._dispatcher.stop()
        log_event(LOG, "drain_started", limit_s=self.limits.drain_s)

    def leave(self, names: Iterable[str]) -> None:
        """Note that the nodes of these workers are about to go."""
        for name in names:
            worker = self._pool[name]
            if not worker.is_leaving:
                log_event(LOG, "worker_leaving", logging.WARNING, worker=name)
            worker.leave()

    def worker_placed(self, name: str, node: str) -> None:
        """The process of a started worker runs on `node`."""
        self._pool[name].place(node)

    def worker_ready(self, name: str, ready: Ready) -> None:
        """A started worker has loaded everything."""
        worker = self._pool[name]
        worker.ready()
        self._supervisor.trust(worker.node)
        self._notes.extend(ready.notes)
        seconds = self._clock() - worker.since_s
        log_event(LOG, "worker_ready", worker=name, node=worker.node, seconds=seconds, kernels=ready.kernels or None)

    def worker_died(self, name: str, cause: str, blame: Blame = "itself") -> None:
        """A worker's process is gone, or its set-up has failed."""
        self._supervisor.worker_died(name, cause, blame)

    def slice_ended(self, name: str, report: SliceReport) -> None:
        """A distiller has answered."""
        worker = self._pool[name]
        worker.spend(self._clock())
        worker.answer()
        self._stats.count_steps(report.num_steps)

        for finished in report.finished:
            self._finish_field(worker, finished)
        for key in report.saved:
            if key in worker.fields:
                worker.fields[key].keep()
        for key, steps in (*report.steps_left.items(), *report.returned.items()):
            worker.fields[key].advance(steps)
        for key in report.returned:
            job = worker.release(key)
            self._backlog.await_slot(job)
            log_event(LOG, "field_handed_back", field_key=key, asset_keys=job.asset_keys, worker=name)
        self._notes.extend(report.notes)

        self._supervisor.handle_fault(worker, report.fault)

    def export_ended(self, name: str, report: ExportReport) -> None:
        """An exporter has answered."""
        worker = self._pool[name]
        build = worker.build
        if report.fault is not None and report.fault.crashed:
            self._supervisor.kill(worker, report.fault.message)
            return
        worker.answer()
        if build is None or not self._backlog.is_open(build):
            return  # decided meanwhile, by another run
        self._notes.extend(report.notes)

        if report.fault is not None and report.fault.lost_snapshot:
            worker.recover()
            self._notes.append(report.fault.message)
            self._completions.snapshot_lost(build, report.fault.message)
            return
        if report.decision is None:
            cause = report.fault.message if report.fault else "no outcome was written"
            log_event(LOG, "export_retry", logging.WARNING, asset_key=build.asset_key, worker=name, cause=cause)
            self._backlog.await_export([build])
            self._supervisor.count_fault(worker, cause)
            return
        worker.recover()
        self._completions.decide(build, report.decision)

    def decided(self, asset_key: str, decision: Decision) -> None:
        """The outcome of a Quarantine command stands."""
        build = self._backlog.builds.get(asset_key)
        if build is not None:  # else another run has it by now
            self._completions.decide(build, decision)

    def _finish_field(self, worker: Worker, finished: FinishedField) -> None:
        job = worker.release(finished.field_key)
        spent_s = job.finish(finished)
        self._stats.finish(spent_s, is_stored=job.snapshot is not None)
        failure = finished.failure
        log_event(
            LOG,
            "field_stored" if failure is None else "field_failed",
            field_key=job.key,
            asset_keys=job.asset_keys,
            worker=worker.name,
            seconds=spent_s,
            failure_class=failure.failure_class if failure else None,
        )
        if failure is None:
            self._backlog.await_export(job.builds)
        else:
            self._completions.fail(job, failure)
