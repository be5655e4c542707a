"""The context of a run, and its records: progress now and then, one report in the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dreamfoundry.host.log_events import log_event
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import OnProgress
from dreamfoundry.library.rows import BAD_ROW
from dreamfoundry.manifest.reader import ManifestReport
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.run import report
from dreamfoundry.run.exit_codes import RunStatus
from dreamfoundry.run.outcomes import now_text
from dreamfoundry.run.planning.plan import Tally
from dreamfoundry.run.progress import Progress
from dreamfoundry.run.report import RunProgress, RunRecord, RunReport
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.scheduling.run_stats import Status
from dreamfoundry.run.unreadable_keys import UnreadableKeys
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.prior_identity import PriorIdentity

MOST_NOTES = 20
"""Notes that a report repeats."""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunContext:
    """The facts of one run, settled before anything starts. `manifest` is a local file, `scan` its check.

    `on_progress` is told what is counted, and raises Stopped once that is asked for. `unreadable` collects what the
    driver cannot read of the library.
    """

    request: RunRequest
    manifest: Path
    scan: ManifestReport
    prior: PriorIdentity
    library: Library
    unreadable: UnreadableKeys
    progress: Progress
    on_progress: OnProgress
    run_id: str
    started_at: str


def provenance(context: RunContext, num_distill_workers: int = 0, num_slots: int = 0) -> dict[str, object]:
    """The part of every outcome's provenance that is the run's; stored keys keep their names."""
    return {
        "run_id": context.run_id,
        "manifest": context.request.manifest,
        "manifest_digest": context.scan.digest,
        "device": context.request.device,
        "num_slots": num_slots,
        "num_optimizers": num_distill_workers,
        "prior": to_plain(context.prior),
        "recipe_name": context.request.recipe_name,
    }


class RunRecords:
    """Times the stages, keeps the newest status, and writes both into the library."""

    def __init__(self, context: RunContext, scan_s: float) -> None:
        self._context = context
        self._timings_s = {"scan": scan_s}
        self._status = Status(0)
        self._written_s = float("-inf")
        self._notes: list[str] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of the run, also one that fails."""
        started_s = time.monotonic()
        log_event(LOG, "run_stage_started", stage=name)
        try:
            yield
        finally:
            self._timings_s[name] = time.monotonic() - started_s
            log_event(LOG, "run_stage_ended", stage=name, seconds=self._timings_s[name])

    def note(self, text: str) -> None:
        """Tell the operator something, now and in the report."""
        self._context.progress.note(text)
        self._notes.append(text)

    def note_unreadable(self) -> None:
        """Tell what could not be read of the library since the last call."""
        for text in self._context.unreadable.take_notes():
            self.note(text)

    def note_status(self, status: Status) -> None:
        """Keep the status for the report."""
        self._status = status

    def count(self, counted: str, number: int) -> None:
        """Show that the run is alive also after its builds have ended: an `OnProgress`, for people and other runs."""
        self._context.progress.count(counted, number)
        self.update(self._status)

    def update(self, status: Status) -> None:
        """Write the progress of the run, at most once in `progress_s`."""
        if time.monotonic() - self._written_s < self._context.request.limits.progress_s:
            return

        context = self._context
        progress = RunProgress(
            run_id=context.run_id,
            manifest=context.request.manifest,
            started_at=context.started_at,
            at=now_text(),
            num_builds=status.num_builds,
            published=status.published,
            quarantined=status.quarantined,
            num_steps=status.steps_done,
            optimizer_s=status.optimizer_s,
            price_per_hour=context.request.price_per_hour,
            eta_s=context.progress.eta_s(status),
        )

        self.write(context.library.store, progress)
        self._written_s = time.monotonic()

    def report(self, status: RunStatus, tally: Tally | None, num_bad_rows: int = 0, message: str = "") -> RunReport:
        """The report of the run as it stands; `tally` is None if no plan was made.

        AssertionError if its counts do not add up to the rows of the manifest: then a row was lost without a word.
        """
        self.note_unreadable()
        context, request, scan = self._context, self._context.request, self._context.scan
        num_repeated = len(scan.repeated) if tally is not None else 0
        tally = tally or Tally(0, 0, 0, scan.num_rows - scan.num_lost_rows - num_bad_rows, {})
        bad_rows = {BAD_ROW: num_bad_rows} if num_bad_rows else {}

        report = RunReport(
            run_id=context.run_id,
            manifest=request.manifest,
            manifest_digest=scan.digest,
            library=request.library,
            status=status,
            started_at=context.started_at,
            finished_at=now_text(),
            num_rows=scan.num_rows,
            published=tally.published,
            skipped=tally.skipped + num_repeated,
            quarantined=tally.quarantined + num_bad_rows,
            lost_rows=scan.num_lost_rows,
            pending=tally.pending,
            failure_classes={**tally.failure_classes, **bad_rows},
            timings_s=dict(self._timings_s),
            num_steps=self._status.steps_done,
            optimizer_s=self._status.optimizer_s,
            price_per_hour=request.price_per_hour,
            message="; ".join(filter(None, [message, *self._told()])),
        )
        counted = report.published + report.skipped + report.quarantined + report.lost_rows + report.pending
        if counted != report.num_rows:
            raise AssertionError(f"{counted} of {report.num_rows} rows are accounted for in {report}")
        return report

    def _told(self) -> list[str]:
        """The notes of the run, or the first of them and how many more there were."""
        num_more = len(self._notes) - MOST_NOTES
        return [*self._notes[:MOST_NOTES], *([f"… and {num_more} more notes"] if num_more > 0 else [])]

    def write(self, store: ObjectStore, record: RunRecord) -> None:
        """Write a record to its place in the library."""
        store.put(report.key(type(record), self._context.run_id), report.to_json(record), report.MEDIA_TYPE)
