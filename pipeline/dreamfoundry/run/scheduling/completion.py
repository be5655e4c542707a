"""The ends of builds: an outcome, too many deaths, or another run that owns the field."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable

from dreamfoundry.errors import ExportDied, SnapshotLost, WorkerDied
from dreamfoundry.host.log_events import log_event
from dreamfoundry.run.messages import Build, Decision, Failure, Quarantine
from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.field_job import Claims, FieldJob
from dreamfoundry.run.scheduling.run_stats import RunStats

LOG = logging.getLogger(__name__)

MAX_DEATHS = 3
"""Charged deaths after which a prompt is given up."""


class Completions:
    """Takes builds out of the backlog, each once; reports ends to `on_decision`, quarantines by `send`."""

    def __init__(
        self,
        backlog: Backlog,
        stats: RunStats,
        claims: Claims,
        *,
        on_decision: Callable[[Build, Decision], None],
        send: Callable[[Quarantine], None],
    ) -> None:
        self._backlog, self._stats, self._claims = backlog, stats, claims
        self._on_decision, self._send = on_decision, send
        self._export_deaths: Counter[str] = Counter()

    def claim(self, job: FieldJob) -> bool:
        """Make a field ours. False if nothing is open in it, or another run has it."""
        if job.is_claimed:
            return True
        if self._backlog.is_postponed(job):
            return False  # another build of the same field has tried before

        claim = self._claims.claim(job.key)
        if claim is None:
            if job.has_waited:
                self._delegate(job)
            else:  # its owner may be dead: ask once more when its lease is over
                self._backlog.postpone(job)
                log_event(LOG, "field_postponed", field_key=job.key, asset_keys=job.asset_keys)
            return False
        job.claim(claim)

        # another run may have decided some of the builds since the plan was made
        for build in self._backlog.open_builds(job):
            standing = self._claims.standing(build.asset_key)
            if standing is not None and (standing.state == "published" or build.instead_of is None):
                self.decide(build, standing)

        if job.deaths >= MAX_DEATHS:
            self._give_up(job, "in an earlier run")
        return bool(self._backlog.open_builds(job))

    def decide(self, build: Build, decision: Decision) -> None:
        """Take out a build whose outcome stands."""
        self._export_deaths.pop(build.asset_key, None)
        self._stats.decide(decision)
        self._on_decision(build, decision)
        log_event(
            LOG,
            "asset_decided",
            asset_key=build.asset_key,
            field_key=build.field_key,
            state=decision.state,
            failure_class=decision.failure.failure_class if decision.failure else None,
            message=decision.failure.message if decision.failure else None,
            is_ours=decision.is_ours,
        )

        job = self._backlog.end(build)
        if not job.builds and job.is_claimed:
            self._claims.forget(job.key)

    def fail(self, job: FieldJob, failure: Failure) -> None:
        """Quarantine every build of a field that cannot become an asset."""
        self._quarantine(job, job.builds, failure, tries=job.deaths + 1)

    def charge(self, job: FieldJob, cause: str) -> None:
        """Charge a death that only this field can have caused: it is run alone again, or given up."""
        deaths = job.charge()
        self._claims.charge(job.key, deaths)
        log_event(
            LOG,
            "death_charged",
            logging.WARNING,
            field_key=job.key,
            asset_keys=job.asset_keys,
            deaths=deaths,
            max_deaths=MAX_DEATHS,
            cause=cause,
        )

        if deaths >= MAX_DEATHS:
            self._give_up(job, cause)
        else:
            self._backlog.suspect(job)

    def export_died(self, build: Build, cause: str) -> None:
        """Count the death of an exporter during an export: not in its stages, those have a child of their own."""
        if not self._backlog.is_open(build):
            return
        self._export_deaths[build.asset_key] += 1
        deaths = self._export_deaths[build.asset_key]
        log_event(
            LOG,
            "export_died",
            logging.WARNING,
            asset_key=build.asset_key,
            field_key=build.field_key,
            deaths=deaths,
            max_deaths=MAX_DEATHS,
            cause=cause,
        )
        if deaths < MAX_DEATHS:
            self._backlog.await_export([build])
            return

        job = self._backlog.fields[build.field_key]
        message = f"the worker died in {deaths} exports of this asset; last: {cause}"
        self._quarantine(job, [build], Failure(ExportDied.failure_class, message), tries=job.deaths + 1)

    def snapshot_lost(self, build: Build, cause: str) -> None:
        """Have the field of an export optimised again because it cannot be read; the second time it is given up."""
        job = self._backlog.fields[build.field_key]
        log_event(LOG, "snapshot_lost", logging.WARNING, field_key=job.key, asset_keys=job.asset_keys, cause=cause)
        if job.snapshot is None:
            return  # another build of it has told
        is_second = job.lost_snapshot is not None
        job.lose_snapshot()
        if is_second:
            self._quarantine(job, job.builds, Failure(SnapshotLost.failure_class, cause), tries=job.deaths + 1)
        else:
            self._backlog.queue.push(job)

    def _delegate(self, job: FieldJob) -> None:
        """Leave a field to the run that has it."""
        log_event(LOG, "field_delegated", field_key=job.key, asset_keys=job.asset_keys)
        self._backlog.drop(job)
        self._stats.delegate(len(job.builds))

    def _give_up(self, job: FieldJob, cause: str) -> None:
        message = f"the process died {job.deaths} times with nothing else in it; last: {cause}"
        self._quarantine(job, job.builds, Failure(WorkerDied.failure_class, message), tries=job.deaths)

    def _quarantine(self, job: FieldJob, builds: Iterable[Build], failure: Failure, tries: int) -> None:
        for build in filter(self._backlog.is_open, builds):
            self._backlog.close(build)
            self._send(Quarantine(build, failure, tries, job.snapshot, job.history))
