"""Counts and seconds of a run so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dreamfoundry.records import OutcomeState
from dreamfoundry.run.messages import Decision, WorkerKind
from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.field_job import FieldJob
from dreamfoundry.run.scheduling.worker_pool import WorkerPool


@dataclass(frozen=True)
class Status:
    """Counts of builds by state, and steps of all slots, for the progress display and the metrics.

    `postponed` counts those of the waiting ones whose field another run has leased.
    `failure_classes` counts the quarantined ones by class, `workers` those that are up by kind.
    The rest are seconds of distillers: `useful_s` for fields that were stored, `wasted_s` for those
    that failed or were lost with a worker, `open_s` for those that have not ended; `held_s` is the
    time for which a process was there, whatever it did.
    """

    num_builds: int
    published: int = 0
    quarantined: int = 0
    waiting: int = 0
    postponed: int = 0
    optimizing: int = 0
    exporting: int = 0
    delegated: int = 0
    steps_done: int = 0
    steps_left: int = 0
    failure_classes: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[WorkerKind, int] = field(default_factory=dict)
    useful_s: float = 0.0
    wasted_s: float = 0.0
    open_s: float = 0.0
    held_s: float = 0.0

    @property
    def optimizer_s(self) -> Mapping[str, float]:
        """`held_s` in three parts; what is open counts as useful until it is lost."""
        used_s = self.useful_s + self.open_s + self.wasted_s
        return {
            "useful": self.useful_s + self.open_s,
            "wasted": self.wasted_s,
            "idle": max(0.0, self.held_s - used_s),
        }


class RunStats:
    """Decided and delegated builds, steps, and seconds of distillers: useful or wasted."""

    def __init__(self, now_s: float) -> None:
        self.steps_done = 0
        self.num_delegated = 0
        self._num_decided: Counter[OutcomeState] = Counter()
        self._failure_classes: Counter[str] = Counter()
        self._useful_s = self._wasted_s = self._held_s = 0.0
        self._now_s = now_s

    def pass_time(self, now_s: float, num_held: int) -> None:
        """Count the time since the last call for each of `num_held` distillers."""
        self._held_s += num_held * (now_s - self._now_s)
        self._now_s = now_s

    def count_steps(self, num_steps: int) -> None:
        """Count steps of all slots."""
        self.steps_done += num_steps

    def decide(self, decision: Decision) -> None:
        """Count the end of a build."""
        self._num_decided[decision.state] += 1
        if decision.failure is not None:
            self._failure_classes[decision.failure.failure_class] += 1

    def delegate(self, num_builds: int) -> None:
        """Count builds that are left to other runs."""
        self.num_delegated += num_builds

    def finish(self, spent_s: float, *, is_stored: bool) -> None:
        """Count the seconds of a field that has left its slot: useful if it is stored."""
        if is_stored:
            self._useful_s += spent_s
        else:
            self._wasted_s += spent_s

    def lose(self, jobs: Iterable[FieldJob]) -> None:
        """Count as wasted all that was done for these fields since their checkpoints."""
        self._wasted_s += sum(job.roll_back() for job in jobs)

    def status(self, backlog: Backlog, pool: WorkerPool) -> Status:
        """Count the builds by state now."""
        optimizing = sum(len(job.builds) for worker in pool for job in worker.fields.values())
        exporting = backlog.num_unexported + sum(worker.build is not None for worker in pool)
        ended = self._num_decided.total() + self.num_delegated

        return Status(
            num_builds=backlog.num_builds,
            published=self._num_decided["published"],
            quarantined=self._num_decided["quarantined"],
            waiting=max(0, backlog.num_builds - ended - optimizing - exporting),
            postponed=backlog.num_postponed,
            optimizing=optimizing,
            exporting=exporting,
            delegated=self.num_delegated,
            steps_done=self.steps_done,
            steps_left=backlog.steps_left,
            failure_classes=self._failure_classes,
            workers=Counter(worker.kind for worker in pool if worker.state in ("idle", "busy")),
            useful_s=self._useful_s,
            wasted_s=self._wasted_s,
            open_s=sum((job.spent_s for job in backlog.fields.values()), 0.0),
            held_s=self._held_s,
        )
