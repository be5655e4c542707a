"""How builds end: with an outcome, after too many deaths, or because another run has their field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from dreamfoundry.errors import ExportDied, WorkerDied
from dreamfoundry.run.messages import Build, Decision, Failure, Quarantine
from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.field_job import Claims, FieldWork
from dreamfoundry.run.scheduling.run_stats import Books

MAX_DEATHS = 3
"""Charged deaths after which a prompt is given up."""


class Endings:
    """Takes builds out of the backlog, each once. Ends are told to `on_decision`, what to write to `order`."""

    def __init__(
        self,
        backlog: Backlog,
        books: Books,
        claims: Claims,
        *,
        on_decision: Callable[[Build, Decision], None],
        order: Callable[[Quarantine], None],
    ) -> None:
        self._backlog, self._books, self._claims = backlog, books, claims
        self._on_decision, self._order = on_decision, order
        self._export_deaths: Counter[str] = Counter()

    def claim(self, work: FieldWork) -> bool:
        """Make a field ours. False if nothing is open in it, or another run has it."""
        if work.is_claimed:
            return True
        if self._backlog.is_postponed(work):
            return False  # asked already, for another build of the same field
        claim = self._claims.claim(work.key)
        if claim is None:
            if work.has_waited:
                self._delegate(work)
            else:  # its owner may be dead: ask once more when its lease is over
                self._backlog.postpone(work)
            return False
        work.is_claimed, work.deaths, work.epoch = True, max(work.deaths, claim.deaths), claim.epoch
        for build in self._backlog.open_builds(work):
            standing = self._claims.standing(build.asset_key)
            if standing is not None and (standing.state == "published" or build.instead_of is None):
                self.decide(build, standing)
        if work.deaths >= MAX_DEATHS:
            self._give_up(work, "in an earlier run")
        return bool(self._backlog.open_builds(work))

    def decide(self, build: Build, decision: Decision) -> None:
        """An outcome stands."""
        self._export_deaths.pop(build.asset_key, None)
        self._books.decide(decision)
        self._on_decision(build, decision)
        work = self._backlog.end(build)
        if not work.builds and work.is_claimed:
            self._claims.forget(work.key)

    def fail(self, work: FieldWork, failure: Failure) -> None:
        """The prompt of a field cannot become an asset."""
        self._quarantine(work, work.builds, failure, attempts=work.deaths + 1)

    def charge(self, work: FieldWork, cause: str) -> None:
        """One death that only this field can have caused: it is run alone again, or given up."""
        work.deaths += 1
        self._claims.charge(work.key, work.deaths)
        if work.deaths >= MAX_DEATHS:
            self._give_up(work, cause)
        else:
            self._backlog.suspect(work)

    def export_died(self, build: Build, cause: str) -> None:
        """An exporter died in an export: not in its stages, those have a child of their own."""
        if not self._backlog.is_open(build):
            return
        self._export_deaths[build.asset_key] += 1
        deaths = self._export_deaths[build.asset_key]
        if deaths < MAX_DEATHS:
            self._backlog.await_export([build])
            return
        work = self._backlog.fields[build.field_key]
        message = f"the worker died in {deaths} exports of this asset; last: {cause}"
        self._quarantine(work, [build], Failure(ExportDied.failure_class, message), attempts=work.deaths + 1)

    def _delegate(self, work: FieldWork) -> None:
        """Leave a field to the run that has it."""
        self._backlog.drop(work)
        self._books.num_delegated += len(work.builds)

    def _give_up(self, work: FieldWork, cause: str) -> None:
        message = f"the process died {work.deaths} times with nothing else in it; last: {cause}"
        self._quarantine(work, work.builds, Failure(WorkerDied.failure_class, message), attempts=work.deaths)

    def _quarantine(self, work: FieldWork, builds: Iterable[Build], failure: Failure, attempts: int) -> None:
        for build in filter(self._backlog.is_open, builds):
            self._backlog.close(build)
            self._order(Quarantine(build, failure, attempts, work.snapshot, work.history))
