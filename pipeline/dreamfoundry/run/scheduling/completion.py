"""How builds end: with an outcome, after too many deaths, or because another run has their field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from dreamfoundry.errors import ExportDied, WorkerDied
from dreamfoundry.run.messages import Build, Decision, Failure, Quarantine
from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.field_job import Claims, FieldJob
from dreamfoundry.run.scheduling.run_stats import RunStats

MAX_DEATHS = 3
"""Charged deaths after which a prompt is given up."""


class Completions:
    """Takes builds out of the backlog, each once. Ends are told to `on_decision`, what to write to `order`."""

    def __init__(
        self,
        backlog: Backlog,
        stats: RunStats,
        claims: Claims,
        *,
        on_decision: Callable[[Build, Decision], None],
        order: Callable[[Quarantine], None],
    ) -> None:
        self._backlog, self._stats, self._claims = backlog, stats, claims
        self._on_decision, self._order = on_decision, order
        self._export_deaths: Counter[str] = Counter()

    def claim(self, job: FieldJob) -> bool:
        """Make a field ours. False if nothing is open in it, or another run has it."""
        if job.is_claimed:
            return True
        if self._backlog.is_postponed(job):
            return False  # asked already, for another build of the same field
        claim = self._claims.claim(job.key)
        if claim is None:
            if job.has_waited:
                self._delegate(job)
            else:  # its owner may be dead: ask once more when its lease is over
                self._backlog.postpone(job)
            return False
        job.is_claimed, job.deaths, job.epoch = True, max(job.deaths, claim.deaths), claim.epoch
        for build in self._backlog.open_builds(job):
            standing = self._claims.standing(build.asset_key)
            if standing is not None and (standing.state == "published" or build.instead_of is None):
                self.decide(build, standing)
        if job.deaths >= MAX_DEATHS:
            self._give_up(job, "in an earlier run")
        return bool(self._backlog.open_builds(job))

    def decide(self, build: Build, decision: Decision) -> None:
        """An outcome stands."""
        self._export_deaths.pop(build.asset_key, None)
        self._stats.decide(decision)
        self._on_decision(build, decision)
        job = self._backlog.end(build)
        if not job.builds and job.is_claimed:
            self._claims.forget(job.key)

    def fail(self, job: FieldJob, failure: Failure) -> None:
        """The prompt of a field cannot become an asset."""
        self._quarantine(job, job.builds, failure, attempts=job.deaths + 1)

    def charge(self, job: FieldJob, cause: str) -> None:
        """One death that only this field can have caused: it is run alone again, or given up."""
        job.deaths += 1
        self._claims.charge(job.key, job.deaths)
        if job.deaths >= MAX_DEATHS:
            self._give_up(job, cause)
        else:
            self._backlog.suspect(job)

    def export_died(self, build: Build, cause: str) -> None:
        """An exporter died in an export: not in its stages, those have a child of their own."""
        if not self._backlog.is_open(build):
            return
        self._export_deaths[build.asset_key] += 1
        deaths = self._export_deaths[build.asset_key]
        if deaths < MAX_DEATHS:
            self._backlog.await_export([build])
            return
        job = self._backlog.fields[build.field_key]
        message = f"the worker died in {deaths} exports of this asset; last: {cause}"
        self._quarantine(job, [build], Failure(ExportDied.failure_class, message), attempts=job.deaths + 1)

    def _delegate(self, job: FieldJob) -> None:
        """Leave a field to the run that has it."""
        self._backlog.drop(job)
        self._stats.num_delegated += len(job.builds)

    def _give_up(self, job: FieldJob, cause: str) -> None:
        message = f"the process died {job.deaths} times with nothing else in it; last: {cause}"
        self._quarantine(job, job.builds, Failure(WorkerDied.failure_class, message), attempts=job.deaths)

    def _quarantine(self, job: FieldJob, builds: Iterable[Build], failure: Failure, attempts: int) -> None:
        for build in filter(self._backlog.is_open, builds):
            self._backlog.close(build)
            self._order(Quarantine(build, failure, attempts, job.snapshot, job.history))
