"""Who does what next: a pure state machine. Events in, commands out, no Ray, an injected clock.

    field:  waiting -> optimizing -> optimized | failed
    build:  (its field) -> ready -> exporting -> published | quarantined

A field serves every build that needs it, so it is optimised once. What happens after a bad event
follows from its class:

- a PromptFailure quarantines its builds;
- when an optimizer dies, everything in its slots becomes a suspect and is run again *alone*,
  after the healthy ones; only a death while alone is charged, and after MAX_DEATHS charges the
  field is quarantined as `worker_died`;
- an exporter tries a deadly export in a child of its own and survives it. Should it die all the
  same, its build is exported again, MAX_DEATHS times at most; the field is not charged;
- a fault that is nobody's (weights, store, set-up) is counted per worker and reset by its next
  good answer; after MAX_FAULTS in a row the worker is retired, and when no worker of its kind is
  left the run aborts with the cause.

All slots of an optimizer share one recipe (the shape class), which changes only when they are
empty. While `2 x exporters` optimised builds wait for their export, slots are not refilled.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from dreamfoundry.cluster.messages import (
    Build,
    Command,
    Export,
    ExportReport,
    ExportTask,
    Failure,
    FieldTask,
    KillWorker,
    Quarantine,
    RunSlice,
    SliceReport,
    StartWorker,
)
from dreamfoundry.cluster.work import Claims, Decision, FieldQueue, FieldWork, Limits, Status, Worker
from dreamfoundry.config import Recipe
from dreamfoundry.errors import ExportDied, WorkerDied

MAX_DEATHS = 3
"""Charged deaths after which a prompt is given up."""

MAX_FAULTS = 3
"""Faults of one worker in a row after which it is not started again."""


class Scheduler:
    """Drives every build to its end. Call `commands()` after each round of events.

    `shape_class` names what recipes have to share to run side by side in one optimizer.
    """

    def __init__(
        self,
        builds: Iterable[Build],
        *,
        num_optimizers: int,
        num_exporters: int,
        num_slots: int,
        claims: Claims,
        clock: Callable[[], float],
        shape_class: Callable[[Recipe], str],
        limits: Limits | None = None,
    ) -> None:
        self.num_slots, self.claims, self.clock = num_slots, claims, clock
        self.limits = limits or Limits()
        self.decisions: dict[str, Decision] = {}
        self.abort_cause: str | None = None
        self.steps_done = 0
        self._useful_s = self._wasted_s = 0.0
        workers = [Worker(f"optimizer-{n}", "optimizer") for n in range(num_optimizers)]
        workers += [Worker(f"exporter-{n}", "exporter") for n in range(num_exporters)]
        self._workers = {worker.name: worker for worker in workers}
        self._export_bound = 2 * num_exporters
        self._fields: dict[str, FieldWork] = {}
        self._builds: dict[str, Build] = {}
        self._condemned: set[str] = set()  # a Quarantine command is under way
        self._export_deaths: Counter[str] = Counter()
        self._queue = FieldQueue()
        self._postponed: list[FieldWork] = []
        self._ready: deque[Build] = deque()  # optimised in this run: bounded
        self._stored: deque[Build] = deque()  # their field existed before: not bounded
        self._outbox: list[Command] = []
        for build in builds:
            self._admit(build, shape_class)
        for work in self._fields.values():
            self._enqueue(work)

    def _admit(self, build: Build, shape_class: Callable[[Recipe], str]) -> None:
        work = self._fields.get(build.field_key)
        if work is None:
            rank = (-build.prompt.priority, len(self._fields))
            work = FieldWork(build.field_key, build.recipe, shape_class(build.recipe), rank, [], build.snapshot)
            self._fields[build.field_key] = work
        work.builds.append(build)
        work.rank = min(work.rank, (-build.prompt.priority, work.rank[1]))
        self._builds[build.asset_key] = build

    def _enqueue(self, work: FieldWork) -> None:
        if work.snapshot is None:
            self._queue.push(work)
        else:
            self._stored.extend(filter(self._is_open, work.builds))

    # ---- what is to be done --------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """Nothing is left to do, or nothing can be done."""
        return self.abort_cause is not None or all(map(self._has_ended, self._fields.values()))

    @property
    def undecided(self) -> Iterator[Build]:
        """Builds without an outcome: still to be made, or in the hands of another run."""
        return (build for key, build in self._builds.items() if key not in self.decisions)

    @property
    def is_delegated(self) -> bool:
        """Whether other runs hold some of the fields."""
        return any(work.is_delegated for work in self._fields.values())

    def commands(self) -> list[Command]:
        """What to do now; each command is given once."""
        self._kill_overdue()
        due = [work for work in self._postponed if (work.retry_at_s or 0.0) <= self.clock()]
        self._postponed = [work for work in self._postponed if work not in due]
        for work in due:
            self._enqueue(work)
        for worker in self._workers.values():
            command = self._next_export(worker) if worker.kind == "exporter" else self._next_slice(worker)
            if command is not None:
                worker.since_s = self.clock()
                self._outbox.append(command)
        commands, self._outbox = self._outbox, []
        return commands

    def _next_slice(self, worker: Worker) -> Command | None:
        if worker.state == "absent":
            return self._start(worker, len(self._queue))
        if worker.state != "idle":
            return None
        added = self._refill(worker)
        if not worker.fields:
            return None
        worker.state = "busy"
        tasks = tuple(FieldTask(work.builds[0].prompt, work.key) for work in added)
        recipe = next(iter(worker.fields.values())).recipe
        return RunSlice(worker.name, recipe, worker.num_slots, tasks, self.limits.slice_s)

    def _start(self, worker: Worker, num_tasks: int) -> StartWorker | None:
        """Start a worker if there are more tasks than workers of its kind at hand for them."""
        others = [other for other in self._workers.values() if other.kind == worker.kind]
        at_hand = sum(other.state in ("starting", "idle") and not other.fields for other in others)
        if num_tasks <= at_hand:
            return None
        worker.state = "starting"
        return StartWorker(worker.name, worker.kind)

    def _refill(self, worker: Worker) -> list[FieldWork]:
        """Fill free slots; an empty optimizer may change its recipe, or take one suspect alone."""
        if self._num_unexported() >= self._export_bound:
            return []
        if worker.fields:
            return self._fill(worker)
        while (shape := self._queue.best_shape(worker.shape_class)) is not None:
            worker.shape_class, worker.num_slots = shape, self.num_slots
            if added := self._fill(worker):
                return added
        while (suspect := self._queue.pop_suspect()) is not None:
            if self._claim(suspect):
                worker.shape_class, worker.num_slots = suspect.shape_class, 1
                worker.fields[suspect.key] = suspect
                return [suspect]
        return []

    def _fill(self, worker: Worker) -> list[FieldWork]:
        """Fill the slots of `worker`, but leave to others with room what would make them even.

        Only the last rows of a run are too few for all: side by side in one optimizer they would
        take longer than spread out.
        """
        if not worker.has_room:
            return []
        sharing = [
            other
            for other in self._workers.values()
            if other.kind == "optimizer" and other.state in ("starting", "idle", "busy") and other.has_room
        ]
        even = -(-(len(self._queue) + sum(len(other.fields) for other in sharing)) // len(sharing))
        added: list[FieldWork] = []
        while len(worker.fields) < min(worker.num_slots, even):
            work = self._queue.pop(worker.shape_class)
            if work is None:
                break
            if self._claim(work):
                worker.fields[work.key] = work
                added.append(work)
        return added

    def _num_unexported(self) -> int:
        exporting = [worker.build for worker in self._workers.values() if worker.build is not None]
        return len(self._ready) + sum(build.snapshot is None for build in exporting)

    def _next_export(self, worker: Worker) -> Command | None:
        if worker.state == "absent":
            return self._start(worker, len(self._ready) + len(self._stored))
        while worker.state == "idle" and (queue := self._ready or self._stored):
            build = queue.popleft()
            work = self._fields[build.field_key]
            if work.snapshot is None or not self._claim(work) or not self._is_open(build):
                continue
            worker.state, worker.build = "busy", build
            return Export(worker.name, ExportTask(build, work.snapshot, work.deaths + 1, work.optimize_s))
        return None

    def _claim(self, work: FieldWork) -> bool:
        """Make a field ours. False if nothing is open in it, or another run has it."""
        if work.is_claimed:
            return True
        if work in self._postponed or work.is_delegated:
            return False  # asked already, for another build of the same field
        deaths = self.claims.claim(work.key)
        if deaths is None:
            work.is_delegated = work.retry_at_s is not None
            if not work.is_delegated:  # its owner may be dead: ask once more when its lease is over
                work.retry_at_s = self.clock() + self.limits.claim_retry_s
                self._postponed.append(work)
            return False
        work.is_claimed, work.deaths = True, max(work.deaths, deaths)
        for build in work.builds:
            state = self.claims.standing(build.asset_key)
            if state == "published" or (state == "quarantined" and build.instead_of is None):
                self._decide(build, Decision(state, is_ours=False))
        if work.deaths >= MAX_DEATHS:
            self._give_up(work, "in an earlier run")
        return any(map(self._is_open, work.builds))

    def _kill_overdue(self) -> None:
        limits = self.limits
        for worker in self._workers.values():
            busy_limit_s = limits.slice_limit_s if worker.kind == "optimizer" else limits.export_limit_s
            limit_s = {"starting": limits.setup_limit_s, "busy": busy_limit_s}.get(worker.state, float("inf"))
            if self.clock() - worker.since_s > limit_s:
                self._kill(worker, f"{worker.name} gave no answer within {limit_s:.0f} s while {worker.state}")

    # ---- what has happened ---------------------------------------------------------------------

    def worker_ready(self, name: str) -> None:
        """A started worker has loaded what it needs."""
        self._workers[name].state = "idle"

    def worker_died(self, name: str, cause: str) -> None:
        """A worker's process is gone, or its set-up has failed."""
        worker = self._workers[name]
        fields, build = list(worker.fields.values()), worker.build
        self._lose(worker)
        worker.state, worker.fields, worker.build = "absent", {}, None
        if build is not None:
            self._export_again(build, cause)
        elif len(fields) == 1:
            self._charge(fields[0], cause)
        elif fields:
            for work in fields:
                work.is_suspect = True
                self._queue.push(work)
        else:
            self._count_fault(worker, cause)

    def slice_ended(self, name: str, report: SliceReport) -> None:
        """An optimizer has answered."""
        worker = self._workers[name]
        self._spend(worker)
        worker.state = "idle"
        self.steps_done += report.num_steps
        for finished in report.finished:
            work = worker.fields.pop(finished.field_key)
            work.snapshot, work.optimize_s = finished.snapshot, finished.optimize_s
            work.history, work.steps_left = finished.history, 0
            if finished.failure is None:
                self._useful_s += work.spent_s
            else:
                self._wasted_s += work.spent_s
            if finished.failure is not None:
                self._quarantine(work, work.builds, finished.failure, attempts=work.deaths + 1)
            else:
                self._ready.extend(filter(self._is_open, work.builds))
        for key, steps in report.steps_left.items():
            worker.fields[key].steps_left = steps
        if report.fault is None:
            worker.faults = 0
        elif report.fault.crashed:
            self._kill(worker, report.fault.message)
        else:
            self._count_fault(worker, report.fault.message)

    def export_ended(self, name: str, report: ExportReport) -> None:
        """An exporter has answered."""
        worker = self._workers[name]
        build = self._builds[report.asset_key]
        if report.fault is not None and report.fault.crashed:
            self._kill(worker, report.fault.message)
            return
        worker.state, worker.build = "idle", None
        if report.fault is not None or report.state is None:
            self._requeue(build)
            self._count_fault(worker, report.fault.message if report.fault else "no outcome was written")
            return
        worker.faults = 0
        self._decide(build, Decision(report.state, report.failure))

    def decided(self, asset_key: str, decision: Decision) -> None:
        """The outcome asked for by a Quarantine command stands."""
        self._decide(self._builds[asset_key], decision)

    def status(self) -> Status:
        """Where the builds stand."""
        states = [decision.state for decision in self.decisions.values()]
        workers, fields = self._workers.values(), self._fields.values()
        optimizing = sum(len(work.builds) for worker in workers for work in worker.fields.values())
        exporting = len(self._ready) + sum(worker.build is not None for worker in workers)
        delegated = sum(len(work.builds) for work in fields if work.is_delegated)
        known = len(states) + optimizing + exporting + delegated
        return Status(
            num_builds=len(self._builds),
            published=states.count("published"),
            quarantined=states.count("quarantined"),
            waiting=max(0, len(self._builds) - known),
            optimizing=optimizing,
            exporting=exporting,
            delegated=delegated,
            steps_done=self.steps_done,
            steps_left=sum(work.steps_left for work in fields if not self._has_ended(work)),
            failure_classes=Counter(end.failure.failure_class for end in self.decisions.values() if end.failure),
            workers=Counter(worker.kind for worker in workers if worker.state in ("idle", "busy")),
            useful_s=self._useful_s,
            wasted_s=self._wasted_s,
        )

    # ---- consequences --------------------------------------------------------------------------

    def _has_ended(self, work: FieldWork) -> bool:
        return work.is_delegated or all(build.asset_key in self.decisions for build in work.builds)

    def _is_open(self, build: Build) -> bool:
        return build.asset_key not in self.decisions and build.asset_key not in self._condemned

    def _decide(self, build: Build, decision: Decision) -> None:
        self.decisions[build.asset_key] = decision
        work = self._fields[build.field_key]
        if work.is_claimed and self._has_ended(work):
            work.is_claimed = False
            self.claims.forget(work.key)

    def _requeue(self, build: Build) -> None:
        (self._ready if build.snapshot is None else self._stored).append(build)

    def _kill(self, worker: Worker, cause: str) -> None:
        """End a process that cannot be trusted any more, as if it had died by itself."""
        self._outbox.append(KillWorker(worker.name, cause))
        self.worker_died(worker.name, cause)

    def _spend(self, worker: Worker) -> None:
        """Divide the time since an optimizer was sent to work among its fields."""
        for work in worker.fields.values():
            work.spent_s += (self.clock() - worker.since_s) / len(worker.fields)

    def _lose(self, worker: Worker) -> None:
        """What an optimizer has done for the fields in its slots is lost."""
        if worker.state == "busy":
            self._spend(worker)
        for work in worker.fields.values():
            self._wasted_s += work.spent_s
            work.spent_s = 0.0

    def _charge(self, work: FieldWork, cause: str) -> None:
        """One death that only this field can have caused."""
        work.deaths += 1
        self.claims.charge(work.key, work.deaths)
        if work.deaths >= MAX_DEATHS:
            self._give_up(work, cause)
        else:
            work.is_suspect = True
            self._queue.push(work)

    def _give_up(self, work: FieldWork, cause: str) -> None:
        message = f"the process died {work.deaths} times with nothing else in it; last: {cause}"
        self._quarantine(work, work.builds, Failure(WorkerDied.failure_class, message), attempts=work.deaths)

    def _export_again(self, build: Build, cause: str) -> None:
        """An exporter died in an export: not in its stages, those have a child of their own."""
        self._export_deaths[build.asset_key] += 1
        deaths = self._export_deaths[build.asset_key]
        if deaths < MAX_DEATHS:
            self._requeue(build)
            return
        work = self._fields[build.field_key]
        message = f"the worker died in {deaths} exports of this asset; last: {cause}"
        self._quarantine(work, [build], Failure(ExportDied.failure_class, message), attempts=work.deaths + 1)

    def _quarantine(self, work: FieldWork, builds: Sequence[Build], failure: Failure, attempts: int) -> None:
        for build in filter(self._is_open, builds):
            self._condemned.add(build.asset_key)
            self._outbox.append(Quarantine(build, failure, attempts, work.snapshot, work.history))

    def _count_fault(self, worker: Worker, cause: str) -> None:
        worker.faults += 1
        if worker.faults < MAX_FAULTS:
            return
        if worker.state != "absent":
            self._outbox.append(KillWorker(worker.name, cause))
        self._lose(worker)
        fields, worker.fields, worker.state = list(worker.fields.values()), {}, "retired"
        for work in fields:
            self._queue.push(work)
        if all(other.state == "retired" for other in self._workers.values() if other.kind == worker.kind):
            self.abort_cause = cause
