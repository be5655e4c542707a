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
- a death with its node, or of a worker whose node was about to go, is charged to nobody;
- where memory is short, an optimizer gets half the slots and a machine one exporter less;
- a fault that is nobody's (weights, store, set-up) is counted per worker and reset by its next
  good answer; after MAX_FAULTS in a row the worker is retired, and when no worker of its kind is
  left the run aborts with the cause.

A worker whose node is about to go, or a run that is to stop, hands its fields back with their
checkpoints; nothing new is begun there.

All slots of an optimizer share one recipe (the shape class), which changes only when they are
empty. While `2 x exporters` optimised builds wait for their export, slots are not refilled.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from dreamfoundry.cluster.messages import (
    Blame,
    Build,
    Command,
    Decision,
    Export,
    ExportReport,
    ExportTask,
    Failure,
    FieldTask,
    HandBack,
    KillWorker,
    Quarantine,
    RunSlice,
    SliceReport,
    StartWorker,
)
from dreamfoundry.cluster.work import Claims, FieldQueue, FieldWork, Limits, Status, Worker
from dreamfoundry.config import Recipe
from dreamfoundry.errors import ExportDied, WorkerDied
from dreamfoundry.records import OutcomeState

MAX_DEATHS = 3
"""Charged deaths after which a prompt is given up."""

LOOK_AHEAD = 4096
"""Builds at hand at most; the most urgent of them come first."""

MAX_FAULTS = 3
"""Faults of one worker in a row after which it is not started again."""


class Scheduler:
    """Drives every build to its end. Call `commands()` after each round of events.

    `builds` are taken as they are needed, at most `look_ahead` at a time, so memory does not grow
    with their number; `num_builds` is how many there are. Among those at hand the most urgent come
    first. Every end is told to `on_decision` once. `shape_class` names what recipes have to share
    to run side by side in one optimizer.
    """

    def __init__(
        self,
        builds: Iterable[Build],
        *,
        num_builds: int,
        on_decision: Callable[[Build, Decision], None],
        num_optimizers: int,
        num_exporters: int,
        num_slots: int,
        claims: Claims,
        clock: Callable[[], float],
        shape_class: Callable[[Recipe], str],
        limits: Limits | None = None,
        look_ahead: int = LOOK_AHEAD,
    ) -> None:
        self.num_slots, self.claims, self.clock = num_slots, claims, clock
        self.limits = limits or Limits()
        self.num_delegated = 0
        self._on_decision, self._shape_class = on_decision, shape_class
        self._feed, self._is_feed_empty, self._look_ahead = iter(builds), False, look_ahead
        self._num_builds, self._num_admitted = num_builds, 0
        self._num_decided: Counter[OutcomeState] = Counter()
        self._failure_classes: Counter[str] = Counter()
        self.abort_cause: str | None = None
        self.is_stopping = False
        self.steps_done = 0
        self._notes: list[str] = []
        self._useful_s = self._wasted_s = 0.0
        workers = [Worker(f"optimizer-{n}", "optimizer") for n in range(num_optimizers)]
        workers += [Worker(f"exporter-{n}", "exporter") for n in range(num_exporters)]
        self._workers = {worker.name: worker for worker in workers}
        self._export_bound = 2 * num_exporters
        self._fields: dict[str, FieldWork] = {}  # those that have not ended
        self._builds: dict[str, Build] = {}  # those that are not decided
        self._condemned: set[str] = set()  # a Quarantine command is under way
        self._export_deaths: Counter[str] = Counter()
        self._queue = FieldQueue()
        self._most_slots: dict[str, int] = {}  # by shape class, where memory was short
        self._postponed: list[FieldWork] = []
        self._ready: deque[Build] = deque()  # optimised in this run: bounded
        self._stored: deque[Build] = deque()  # their field existed before: not bounded
        self._outbox: list[Command] = []
        self._admit_more()

    def _admit_more(self) -> None:
        """Take builds until enough are at hand."""
        fresh: dict[str, FieldWork] = {}
        while not self._is_feed_empty and len(self._builds) < self._look_ahead:
            build = next(self._feed, None)
            if build is None:
                self._is_feed_empty = True
            elif self._admit(build):
                fresh[build.field_key] = self._fields[build.field_key]
        for work in fresh.values():
            self._enqueue(work)

    def _admit(self, build: Build) -> bool:
        """Take one build. True if its field is new here."""
        self._num_admitted += 1
        self._builds[build.asset_key] = build
        work = self._fields.get(build.field_key)
        rank = (-build.prompt.priority, self._num_admitted)
        if work is None:
            shape = self._shape_class(build.recipe)
            self._fields[build.field_key] = FieldWork(
                build.field_key, build.recipe, shape, rank, [build], build.snapshot
            )
            return True
        work.builds.append(build)
        work.rank = min(work.rank, rank)
        if work.snapshot is not None:
            self._requeue(build)
        return False

    def _enqueue(self, work: FieldWork) -> None:
        if work.snapshot is None:
            self._queue.push(work)
        else:
            self._stored.extend(filter(self._is_open, work.builds))

    # ---- what is to be done --------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """Nothing is left to do, or nothing can be done."""
        return self.abort_cause is not None or (self._is_feed_empty and not self._fields)

    @property
    def is_drained(self) -> bool:
        """After `stop`: nothing is under way any more."""
        return self.is_stopping and all(
            worker.state != "busy" and not worker.fields for worker in self._workers.values()
        )

    def commands(self) -> list[Command]:
        """What to do now; each command is given once."""
        self._kill_overdue()
        if not self.is_stopping:
            self._admit_more()
        for key in self.claims.lost():
            if key in self._fields:
                self._fields[key].is_claimed = False
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
        if self.is_stopping or worker.is_leaving or not all(work.is_claimed for work in worker.fields.values()):
            return self._empty(worker)
        added = self._refill(worker)
        if not worker.fields:
            return None
        worker.state = "busy"
        tasks = tuple(FieldTask(work.builds[0].prompt, work.key, work.epoch) for work in added)
        recipe = next(iter(worker.fields.values())).recipe
        return RunSlice(worker.name, recipe, worker.num_slots, tasks, self.limits.slice_s)

    def _empty(self, worker: Worker) -> Command | None:
        """Have the fields handed back; an empty worker whose node is about to go ends."""
        if worker.fields:
            worker.state = "busy"
            return HandBack(worker.name)
        if not worker.is_leaving:
            return None
        worker.state, worker.is_leaving = "absent", False
        return KillWorker(worker.name, "its node is about to go")

    def _start(self, worker: Worker, num_tasks: int) -> StartWorker | None:
        """Start a worker if there are more tasks than workers of its kind at hand for them."""
        others = [other for other in self._workers.values() if other.kind == worker.kind]
        at_hand = sum(other.state in ("starting", "idle") and not other.fields for other in others)
        if num_tasks <= at_hand or self.is_stopping:
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
            worker.shape_class, worker.num_slots = shape, self._most_slots.get(shape, self.num_slots)
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
        if worker.state == "idle" and (self.is_stopping or worker.is_leaving):
            return self._empty(worker)
        while worker.state == "idle" and (queue := self._ready or self._stored):
            build = queue.popleft()
            work = self._fields.get(build.field_key)
            if work is None or work.snapshot is None or not self._claim(work) or not self._is_open(build):
                continue
            worker.state, worker.build = "busy", build
            task = ExportTask(build, work.snapshot, work.deaths + 1, work.optimize_s, work.resumed_from_step)
            return Export(worker.name, task)
        return None

    def _claim(self, work: FieldWork) -> bool:
        """Make a field ours. False if nothing is open in it, or another run has it."""
        if work.is_claimed:
            return True
        if work in self._postponed:
            return False  # asked already, for another build of the same field
        claim = self.claims.claim(work.key)
        if claim is None:
            if work.retry_at_s is None:  # its owner may be dead: ask once more when its lease is over
                work.retry_at_s = self.clock() + self.limits.lease_s
                self._postponed.append(work)
            else:
                self._delegate(work)
            return False
        work.is_claimed, work.deaths, work.epoch = True, max(work.deaths, claim.deaths), claim.epoch
        for build in list(filter(self._is_open, work.builds)):
            standing = self.claims.standing(build.asset_key)
            if standing is not None and (standing.state == "published" or build.instead_of is None):
                self._decide(build, standing)
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

    def stop(self) -> None:
        """Begin nothing new, and bring what is under way to a safe place: see `is_drained`."""
        self.is_stopping = True

    def leave(self, names: Iterable[str]) -> None:
        """The nodes of these workers are about to go."""
        for name in names:
            worker = self._workers[name]
            worker.is_leaving = worker.state not in ("absent", "retired")

    def worker_ready(self, name: str) -> None:
        """A started worker has loaded what it needs."""
        self._workers[name].state = "idle"

    def worker_died(self, name: str, cause: str, blame: Blame = "itself") -> None:
        """A worker's process is gone, or its set-up has failed."""
        worker = self._workers[name]
        fields, build = list(worker.fields.values()), worker.build
        is_innocent = worker.is_leaving or blame == "node" or (blame == "memory" and self._ask_for_less(worker))
        self._lose(worker)
        if worker.state != "retired":
            worker.state = "absent"
        worker.fields, worker.build, worker.is_leaving = {}, None, False
        for work in fields:
            work.start_over()
        if is_innocent:
            self._take_back(fields, build)
        elif build is not None:
            self._export_again(build, cause)
        elif len(fields) == 1:
            self._charge(fields[0], cause)
        elif fields:
            for work in fields:
                work.is_suspect = True
                self._queue.push(work)
        else:
            self._count_fault(worker, cause)

    def _take_back(self, fields: Iterable[FieldWork], build: Build | None) -> None:
        """Let everything wait again that was in a worker; nobody is charged."""
        for work in fields:
            if work.is_claimed:
                self._queue.push(work)
            else:  # somebody else has it: ask again when that lease is over
                work.retry_at_s = self.clock() + self.limits.lease_s
                self._postponed.append(work)
        if build is not None:
            self._requeue(build)

    def _ask_for_less(self, worker: Worker) -> bool:
        """After a want of memory: half the slots, or one exporter less. False if there is no less."""
        if worker.kind == "optimizer":
            self._most_slots[worker.shape_class] = max(1, worker.num_slots // 2)
            return worker.num_slots > 1
        others = [other for other in self._workers.values() if other.kind == "exporter" and other is not worker]
        if all(other.state == "retired" for other in others):
            return False
        worker.state = "retired"
        return True

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
            work.resumed_from_step = finished.resumed_from_step
            if finished.failure is None:
                self._useful_s += work.spent_s
            else:
                self._wasted_s += work.spent_s
            if finished.failure is not None:
                self._quarantine(work, work.builds, finished.failure, attempts=work.deaths + 1)
            else:
                self._ready.extend(filter(self._is_open, work.builds))
        for key in report.saved:
            if key in worker.fields:
                worker.fields[key].saved_s = worker.fields[key].spent_s
        for key, steps in (*report.steps_left.items(), *report.returned.items()):
            worker.fields[key].steps_left = steps
        self._take_back([worker.fields.pop(key) for key in report.returned], None)
        self._notes.extend(report.notes)
        if report.fault is not None and report.fault.out_of_memory:
            self._ask_for_less(worker)
        elif report.fault is None:
            worker.faults = 0
        elif report.fault.crashed:
            self._kill(worker, report.fault.message)
        else:
            self._count_fault(worker, report.fault.message)

    def export_ended(self, name: str, report: ExportReport) -> None:
        """An exporter has answered."""
        worker = self._workers[name]
        build = worker.build
        if report.fault is not None and report.fault.crashed:
            self._kill(worker, report.fault.message)
            return
        worker.state, worker.build = "idle", None
        if build is None or not self._is_open(build):
            return  # decided meanwhile, by another run
        if report.decision is None:
            self._requeue(build)
            self._count_fault(worker, report.fault.message if report.fault else "no outcome was written")
            return
        worker.faults = 0
        self._decide(build, report.decision)

    def decided(self, asset_key: str, decision: Decision) -> None:
        """The outcome asked for by a Quarantine command stands."""
        self._decide(self._builds[asset_key], decision)

    def take_notes(self) -> list[str]:
        """What workers had to say to the operator since this was asked last."""
        notes, self._notes = self._notes, []
        return notes

    def status(self) -> Status:
        """Where the builds stand."""
        workers = self._workers.values()
        optimizing = sum(len(work.builds) for worker in workers for work in worker.fields.values())
        exporting = len(self._ready) + sum(worker.build is not None for worker in workers)
        ended = self._num_decided.total() + self.num_delegated
        at_hand = sum(work.steps_left for work in self._fields.values())
        num_to_come = self._num_builds - self._num_admitted
        return Status(
            num_builds=self._num_builds,
            published=self._num_decided["published"],
            quarantined=self._num_decided["quarantined"],
            waiting=max(0, self._num_builds - ended - optimizing - exporting),
            optimizing=optimizing,
            exporting=exporting,
            delegated=self.num_delegated,
            steps_done=self.steps_done,
            steps_left=at_hand + num_to_come * at_hand // max(1, len(self._builds)),
            failure_classes=self._failure_classes,
            workers=Counter(worker.kind for worker in workers if worker.state in ("idle", "busy")),
            useful_s=self._useful_s,
            wasted_s=self._wasted_s,
        )

    # ---- consequences --------------------------------------------------------------------------

    def _is_open(self, build: Build) -> bool:
        return build.asset_key in self._builds and build.asset_key not in self._condemned

    def _decide(self, build: Build, decision: Decision) -> None:
        del self._builds[build.asset_key]
        self._condemned.discard(build.asset_key)
        self._export_deaths.pop(build.asset_key, None)
        self._num_decided[decision.state] += 1
        if decision.failure is not None:
            self._failure_classes[decision.failure.failure_class] += 1
        self._on_decision(build, decision)
        work = self._fields[build.field_key]
        work.builds.remove(build)
        if not work.builds:
            del self._fields[work.key]
            if work.is_claimed:
                self.claims.forget(work.key)

    def _delegate(self, work: FieldWork) -> None:
        """Leave a field to the run that has it."""
        del self._fields[work.key]
        for build in work.builds:
            del self._builds[build.asset_key]
        self.num_delegated += len(work.builds)

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
        """What an optimizer has done for the fields in its slots since their checkpoints is lost."""
        if worker.state == "busy":
            self._spend(worker)
        for work in worker.fields.values():
            self._wasted_s += work.spent_s - work.saved_s
            work.spent_s = work.saved_s

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
        if not self._is_open(build):
            return
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
