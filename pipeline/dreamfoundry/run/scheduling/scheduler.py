"""Who does what next: a pure state machine. Events in, commands out, no Ray, an injected clock.

    field:  waiting -> optimizing -> optimized | failed
    build:  (its field) -> ready -> exporting -> published | quarantined

A field serves every build that needs it, so it is optimised once. What happens after a bad event
follows from its class:

- a PromptFailure quarantines its builds;
- when a distiller dies, everything in its slots becomes a suspect and is run again *alone*,
  after the healthy ones; only a death while alone is charged, and after MAX_DEATHS charges the
  field is quarantined as `worker_died`;
- an exporter tries a deadly export in a child of its own and survives it. Should it die all the
  same, its build is exported again, MAX_DEATHS times at most; the field is not charged;
- a death with its node, or of a worker whose node was about to go, is charged to nobody;
- where memory is short, a distiller gets half the slots and a machine one exporter less;
- a fault that is nobody's (weights, store, set-up) is counted per worker and reset by its next
  good answer; after MAX_FAULTS in a row the worker is retired, and when no worker of its kind is
  left the run aborts with the cause.

A worker whose node is about to go, or a run that is to stop, hands its fields back with their
checkpoints; nothing new is begun there.

All slots of a distiller share one recipe (the shape class), which changes only when they are
empty. While `2 x exporters` optimised builds wait for their export, slots are not refilled.

What waits is in `backlog`, who works in `worker_pool`, how builds end in `completion`, the figures in `run_stats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dreamfoundry.run.messages import (
    Blame,
    Build,
    Command,
    Decision,
    Export,
    ExportReport,
    ExportTask,
    FieldTask,
    HandBack,
    KillWorker,
    RunSlice,
    SliceReport,
    StartWorker,
)
from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.completion import Completions
from dreamfoundry.run.scheduling.field_job import Claims, FieldJob
from dreamfoundry.run.scheduling.run_stats import RunStats, Status
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.run.scheduling.worker_pool import Worker, WorkerPool
from dreamfoundry.settings.recipe import Recipe

LOOK_AHEAD = 4096
"""Builds at hand at most; the most urgent of them come first."""

MAX_FAULTS = 3
"""Faults of one worker in a row after which it is not started again."""


class Scheduler:
    """Drives every build to its end. Call `commands()` after each round of events.

    `builds` are taken as they are needed, at most `look_ahead` at a time; `num_builds` is how many
    there are. Every end is told to `on_decision` once. `shape_class` names what recipes have to share
    to run side by side in one distiller.
    """

    def __init__(
        self,
        builds: Iterable[Build],
        *,
        num_builds: int,
        on_decision: Callable[[Build, Decision], None],
        num_distill_workers: int,
        num_export_workers: int,
        num_slots: int,
        claims: Claims,
        clock: Callable[[], float],
        shape_class: Callable[[Recipe], str],
        limits: Limits | None = None,
        look_ahead: int = LOOK_AHEAD,
    ) -> None:
        self.limits = limits or Limits()
        self.abort_cause: str | None = None
        self.is_stopping = False
        self._claims, self._clock = claims, clock
        self._backlog = Backlog(
            builds,
            num_builds=num_builds,
            look_ahead=look_ahead,
            shape_class=shape_class,
            clock=clock,
            lease_s=self.limits.lease_s,
        )
        self._pool = WorkerPool(
            num_distill_workers=num_distill_workers, num_export_workers=num_export_workers, num_slots=num_slots
        )
        self._stats = RunStats(clock())
        self._outbox: list[Command] = []
        self._completions = Completions(
            self._backlog, self._stats, claims, on_decision=on_decision, order=self._outbox.append
        )
        self._export_bound = 2 * num_export_workers
        self._notes: list[str] = []
        self._backlog.take_more()

    # ---- where the run stands ------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """Nothing is left to do, or nothing can be done."""
        return self.abort_cause is not None or self._backlog.is_empty

    @property
    def is_drained(self) -> bool:
        """After `stop`: nothing is under way any more."""
        return self.is_stopping and self._pool.is_at_rest

    @property
    def steps_done(self) -> int:
        """Steps of all slots."""
        return self._stats.steps_done

    @property
    def num_delegated(self) -> int:
        """Builds that are left to other runs."""
        return self._stats.num_delegated

    def status(self) -> Status:
        """Where the builds stand."""
        return self._stats.status(self._backlog, self._pool)

    def take_notes(self) -> list[str]:
        """What workers had to say to the operator since this was asked last."""
        notes, self._notes = self._notes, []
        return notes

    # ---- what is to be done --------------------------------------------------------------------

    def commands(self) -> list[Command]:
        """What to do now; each command is given once."""
        self._stats.pass_time(self._clock(), self._pool.num_up("distiller"))
        self._kill_overdue()
        if not self.is_stopping:
            self._backlog.take_more()
        for key in self._claims.lost():
            if key in self._backlog.fields:
                self._backlog.fields[key].is_claimed = False
        self._backlog.recall()
        for worker in self._pool:
            command = self._next_slice(worker) if worker.kind == "distiller" else self._next_export(worker)
            if command is not None:
                worker.since_s = self._clock()
                self._outbox.append(command)
        commands = self._outbox.copy()
        self._outbox.clear()
        return commands

    def _kill_overdue(self) -> None:
        for worker in self._pool:
            limit_s = worker.limit_s(self.limits)
            if self._clock() - worker.since_s > limit_s:
                self._kill(worker, f"{worker.name} gave no answer within {limit_s:.0f} s while {worker.state}")

    def _next_slice(self, worker: Worker) -> Command | None:
        if worker.state == "absent":
            return self._start(worker, len(self._backlog.queue))
        if worker.state != "idle":
            return None
        if self.is_stopping or worker.is_leaving or not all(job.is_claimed for job in worker.fields.values()):
            return self._empty(worker)
        added = self._refill(worker)
        if not worker.fields:
            return None
        worker.state = "busy"
        tasks = tuple(FieldTask(job.builds[0].prompt, job.key, job.epoch) for job in added)
        recipe = next(iter(worker.fields.values())).recipe
        return RunSlice(worker.name, recipe, worker.num_slots, tasks, self.limits.slice_s)

    def _next_export(self, worker: Worker) -> Command | None:
        if worker.state == "absent":
            return self._start(worker, self._backlog.num_exports)
        if worker.state == "idle" and (self.is_stopping or worker.is_leaving):
            return self._empty(worker)
        while worker.state == "idle" and (build := self._backlog.next_export()) is not None:
            job = self._backlog.fields.get(build.field_key)
            if job is None or job.snapshot is None:
                continue
            if self._completions.claim(job) and self._backlog.is_open(build):  # a claim may show that it has ended
                worker.state, worker.build = "busy", build
                task = ExportTask(build, job.snapshot, job.deaths + 1, job.optimize_s, job.resumed_from_step)
                return Export(worker.name, task)
        return None

    def _start(self, worker: Worker, num_tasks: int) -> StartWorker | None:
        """Start a worker if there are more tasks than workers of its kind at hand for them."""
        if self.is_stopping or num_tasks <= self._pool.num_free(worker.kind):
            return None
        worker.state = "starting"
        return StartWorker(worker.name, worker.kind)

    def _empty(self, worker: Worker) -> Command | None:
        """Have the fields handed back; an empty worker whose node is about to go ends."""
        if worker.fields:
            worker.state = "busy"
            return HandBack(worker.name)
        if not worker.is_leaving:
            return None
        worker.state, worker.is_leaving = "absent", False
        return KillWorker(worker.name, "its node is about to go")

    def _refill(self, worker: Worker) -> list[FieldJob]:
        """Fill free slots; an empty distiller may change its recipe, or take one suspect alone."""
        queue = self._backlog.queue
        if self._num_unexported() >= self._export_bound:
            return []
        if worker.fields:
            return self._fill(worker)
        while (shape := queue.best_shape(worker.shape_class)) is not None:
            worker.shape_class, worker.num_slots = shape, self._pool.num_slots_for(shape)
            if added := self._fill(worker):
                return added
        while (suspect := queue.pop_suspect()) is not None:
            if self._completions.claim(suspect):
                worker.shape_class, worker.num_slots = suspect.shape_class, 1
                worker.fields[suspect.key] = suspect
                return [suspect]
        return []

    def _fill(self, worker: Worker) -> list[FieldJob]:
        """Fill the slots of `worker`, but leave to others with room what would make them even.

        Only the last rows of a run are too few for all: side by side in one distiller they would
        take longer than spread out.
        """
        if not worker.has_room:
            return []
        most = min(worker.num_slots, self._pool.even_share(len(self._backlog.queue)))
        added: list[FieldJob] = []
        while len(worker.fields) < most and (job := self._backlog.queue.pop(worker.shape_class)) is not None:
            if self._completions.claim(job):
                worker.fields[job.key] = job
                added.append(job)
        return added

    def _num_unexported(self) -> int:
        exporting = [worker.build for worker in self._pool if worker.build is not None]
        return self._backlog.num_unexported + sum(build.snapshot is None for build in exporting)

    # ---- what has happened ---------------------------------------------------------------------

    def stop(self) -> None:
        """Begin nothing new, and bring what is under way to a safe place: see `is_drained`."""
        self.is_stopping = True

    def leave(self, names: Iterable[str]) -> None:
        """The nodes of these workers are about to go."""
        for name in names:
            worker = self._pool[name]
            worker.is_leaving = worker.state not in ("absent", "retired")

    def worker_ready(self, name: str) -> None:
        """A started worker has loaded what it needs."""
        self._pool[name].state = "idle"

    def worker_died(self, name: str, cause: str, blame: Blame = "itself") -> None:
        """A worker's process is gone, or its set-up has failed."""
        worker, build = self._pool[name], self._pool[name].build
        is_innocent = worker.is_leaving or blame == "node" or (blame == "memory" and self._pool.reduce_capacity(worker))
        fields = self._vacate(worker)
        if worker.state != "retired":
            worker.state = "absent"
        for job in fields:
            job.start_over()
        if is_innocent:
            for job in fields:
                self._backlog.await_slot(job)
            self._backlog.await_export([build] if build is not None else [])
        elif build is not None:
            self._completions.export_died(build, cause)
        elif len(fields) == 1:
            self._completions.charge(fields[0], cause)
        elif fields:
            for job in fields:
                self._backlog.suspect(job)
        else:
            self._count_fault(worker, cause)

    def slice_ended(self, name: str, report: SliceReport) -> None:
        """A distiller has answered."""
        worker = self._pool[name]
        worker.spend(self._clock())
        worker.state = "idle"
        self._stats.steps_done += report.num_steps
        for finished in report.finished:
            job = worker.fields.pop(finished.field_key)
            job.end(finished)
            self._stats.end(job)
            if finished.failure is None:
                self._backlog.await_export(job.builds)
            else:
                self._completions.fail(job, finished.failure)
        for key in report.saved:
            if key in worker.fields:
                worker.fields[key].saved_s = worker.fields[key].spent_s
        for key, steps in (*report.steps_left.items(), *report.returned.items()):
            worker.fields[key].steps_left = steps
        for key in report.returned:
            self._backlog.await_slot(worker.fields.pop(key))
        self._notes.extend(report.notes)
        if report.fault is None:
            worker.num_faults = 0
        elif report.fault.out_of_memory:
            self._pool.reduce_capacity(worker)
        elif report.fault.crashed:
            self._kill(worker, report.fault.message)
        else:
            self._count_fault(worker, report.fault.message)

    def export_ended(self, name: str, report: ExportReport) -> None:
        """An exporter has answered."""
        worker = self._pool[name]
        build = worker.build
        if report.fault is not None and report.fault.crashed:
            self._kill(worker, report.fault.message)
            return
        worker.state, worker.build = "idle", None
        if build is None or not self._backlog.is_open(build):
            return  # decided meanwhile, by another run
        if report.decision is None:
            self._backlog.await_export([build])
            self._count_fault(worker, report.fault.message if report.fault else "no outcome was written")
            return
        worker.num_faults = 0
        self._completions.decide(build, report.decision)

    def decided(self, asset_key: str, decision: Decision) -> None:
        """The outcome asked for by a Quarantine command stands."""
        build = self._backlog.builds.get(asset_key)
        if build is not None:  # not left to another run meanwhile
            self._completions.decide(build, decision)

    # ---- consequences --------------------------------------------------------------------------

    def _kill(self, worker: Worker, cause: str) -> None:
        """End a process that cannot be trusted any more, as if it had died by itself."""
        self._outbox.append(KillWorker(worker.name, cause))
        self.worker_died(worker.name, cause)

    def _vacate(self, worker: Worker) -> list[FieldJob]:
        """Take everything out of a worker. What it has done since the checkpoints is lost."""
        if worker.state == "busy":
            worker.spend(self._clock())
        fields = list(worker.fields.values())
        self._stats.lose(fields)
        worker.fields, worker.build, worker.is_leaving = {}, None, False
        return fields

    def _count_fault(self, worker: Worker, cause: str) -> None:
        worker.num_faults += 1
        if worker.num_faults < MAX_FAULTS:
            return
        if worker.state != "absent":
            self._outbox.append(KillWorker(worker.name, cause))
        for job in self._vacate(worker):
            self._backlog.queue.push(job)
        worker.state = "retired"
        if self._pool.is_retired(worker.kind):
            self.abort_cause = cause
