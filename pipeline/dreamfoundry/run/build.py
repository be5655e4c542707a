"""One run: a manifest and a library go in, a report comes out, and the library has changed.

    check the rows -> plan -> drive the workers -> catalog, contact sheet, report

Nothing is started before the whole manifest has been checked. torch is never imported here.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from dreamfoundry.errors import InfrastructureError, RowError, Stopped
from dreamfoundry.host.faults import machine_faults
from dreamfoundry.host.log_events import log_context, log_event, recording
from dreamfoundry.library.library import Library
from dreamfoundry.library.lost_rows import LostRowsRecord, record_lost_rows
from dreamfoundry.library.projections import OnProgress, publish_projections
from dreamfoundry.object_store.open import open_store
from dreamfoundry.object_store.protocol import at_once
from dreamfoundry.records import Outcome
from dreamfoundry.run.display import TextStream
from dreamfoundry.run.exit_codes import RunStatus
from dreamfoundry.run.outcomes import bad_row_outcome, publish, standing_outcome
from dreamfoundry.run.planning.intake import MAX_NAMED, check, plan, stop_on_request
from dreamfoundry.run.planning.plan import Plan, Tally
from dreamfoundry.run.progress import Progress
from dreamfoundry.run.request import RunRequest, RunResult
from dreamfoundry.run.run_records import RunContext, RunRecords, provenance
from dreamfoundry.run.scheduling.run_stats import Status
from dreamfoundry.run.wiring import OpenWorkers, build_assets, open_workers_for

LOG = logging.getLogger(__name__)

LAST_WRITE_S = 5.0
"""Retry timeout of a failed run's last writes: a store that is away was waited for before."""

LAST_PUBLISH_S = 10.0
"""Longest time that a run goes on with catalog and page after it was asked to stop."""


def build_library(
    request: RunRequest,
    stream: TextStream,
    should_stop: Callable[[], bool] = lambda: False,
    open_workers: OpenWorkers | None = None,
) -> RunResult:
    """Build everything in `request`; progress goes to `stream`.

    Raises InputError before anything is written, InfrastructureError when the run cannot go on
    (its report says "failed"). After `should_stop` the run ends as "drained". `open_workers` is for
    other workers than the real ones.
    """
    request = request.with_workers()
    log_file = Path(request.log_file) if request.logs_events else None
    log_stream = stream if log_file is not None and not stream.isatty() else None
    with (
        tempfile.TemporaryDirectory(prefix="df-manifest-") as folder,
        closing(Progress(stream)) as progress,
        recording(log_file, log_stream),
    ):
        started_s = time.monotonic()
        context = check(request, Path(folder), progress, should_stop)
        records = RunRecords(context, scan_s=time.monotonic() - started_s)

        with log_context(run_id=context.run_id):
            if log_file is not None:
                context.progress.note(f"log events of this run: {log_file}")
            return _carry_out(context, records, open_workers or open_workers_for(request), should_stop)


def _carry_out(
    context: RunContext, records: RunRecords, open_workers: OpenWorkers, should_stop: Callable[[], bool]
) -> RunResult:
    """Plan, build, publish; a run that fails leaves a report too, if the store can still be reached."""
    request, bad_rows = context.request, list[Outcome]()
    log_event(LOG, "run_started", manifest=request.manifest, library=request.library, num_rows=context.scan.num_rows)
    started_s = time.monotonic()
    planned: Plan | None = None
    try:
        with machine_faults():
            bad_rows += _quarantine_bad_rows(context)
            with records.stage("plan"):
                planned = plan(context)
            num_delegated = _build_and_publish(context, planned, records, open_workers, should_stop, bad_rows)
            result = _result(context, planned, records, bad_rows, num_delegated=num_delegated)
    except Stopped as stopped:
        result = _result(context, planned, records, bad_rows, message=f"stopped {stopped}")
    except InfrastructureError as error:
        log_event(LOG, "run_failed", logging.ERROR, cause=f"{type(error).__name__}: {error}", seconds=_since(started_s))
        _report_failure(context, planned, records, len(bad_rows), str(error))
        raise

    log_event(LOG, "run_ended", status=result.report.status, seconds=_since(started_s))
    return result


def _quarantine_bad_rows(context: RunContext) -> Iterator[Outcome]:
    """Decide the bad rows of the manifest; yields their outcomes, which tell where they stand in this one."""

    def quarantine(error: RowError) -> Outcome:
        outcome = bad_row_outcome(error, provenance(context))
        publish(context.library, outcome, None)
        return outcome

    for number, outcome in enumerate(at_once(quarantine, context.scan.row_errors), start=1):
        yield outcome
        context.on_progress("bad rows recorded", number)


def _build_and_publish(
    context: RunContext,
    plan: Plan,
    records: RunRecords,
    open_workers: OpenWorkers,
    should_stop: Callable[[], bool],
    bad_rows: Sequence[Outcome],
) -> int:
    """Returns the number of builds left to other runs."""
    num_delegated, bad_keys = 0, [outcome.asset_key for outcome in bad_rows]
    on_progress = stop_on_request(records.count, should_stop, LAST_PUBLISH_S)
    if plan.num_builds:
        records.update(Status(plan.num_builds, waiting=plan.num_builds))
        try:
            with records.stage("build"):
                num_delegated = build_assets(context, plan, records, open_workers, should_stop)
        except Exception:
            _publish_what_is_decided(context, plan, records, bad_keys, on_progress)
            raise

    _publish(context.library, context, plan, records, bad_keys, on_progress)
    return num_delegated


def _publish(
    library: Library,
    context: RunContext,
    plan: Plan,
    records: RunRecords,
    bad_keys: Sequence[str],
    on_progress: OnProgress,
) -> None:
    """Bring the projections up to date with what is decided."""
    lost = LostRowsRecord(context.request.manifest, context.scan.lost)
    has_other_gaps = record_lost_rows(library, context.run_id, lost)

    # a run that changed nothing leaves catalog and page alone, so that repeating it is cheap
    if has_other_gaps or not plan.is_projected(bad_keys):
        with records.stage("publish"):
            publish_projections(library, context.run_id, plan.rows(), bad_keys, on_progress)


def _publish_what_is_decided(
    context: RunContext, plan: Plan, records: RunRecords, bad_keys: Sequence[str], on_progress: OnProgress
) -> None:
    """`_publish` at the end of a run that fails: the reason of its end matters more than a fault in here."""
    try:
        library = Library(open_store(context.request.library, retry_timeout_s=LAST_WRITE_S), context.unreadable)
        _publish(library, context, plan, records, bad_keys, on_progress)
    except (InfrastructureError, Stopped) as error:
        records.note(f"catalog and page are not up to date, the next run writes them: {error}")


def _result(
    context: RunContext,
    plan: Plan | None,
    records: RunRecords,
    bad_rows: Sequence[Outcome],
    *,
    num_delegated: int = 0,
    message: str = "",
) -> RunResult:
    """Write the report of a run that came to its end, or was stopped: then `message` says where."""
    tally = plan.tally() if plan is not None else None
    status = _run_status(tally, has_bad_rows=bool(bad_rows or context.scan.lost), num_delegated=num_delegated)
    summary = records.report("drained" if message else status, tally, len(bad_rows), message)
    records.write(context.library.store, summary)

    named = {outcome.prompt_id: outcome for outcome in bad_rows[:MAX_NAMED]}
    for prompt_id, asset_key in plan.quarantined_rows(MAX_NAMED - len(named)) if plan is not None else []:
        if outcome := standing_outcome(context.library, asset_key):
            named[prompt_id] = outcome
    return RunResult(summary, named, context.request.log_file if context.request.logs_events else "")


def _run_status(tally: Tally | None, *, has_bad_rows: bool, num_delegated: int) -> RunStatus:
    if tally is None or tally.pending:
        return "delegated" if num_delegated else "drained"
    return "partial" if tally.failure_classes or has_bad_rows else "complete"


def _report_failure(
    context: RunContext, plan: Plan | None, records: RunRecords, num_bad_rows: int, message: str
) -> None:
    tally = plan.tally() if plan is not None else None
    summary = records.report("failed", tally, num_bad_rows, message)
    try:
        records.write(open_store(context.request.library, retry_timeout_s=LAST_WRITE_S), summary)
    except InfrastructureError:
        context.progress.note("the run report could not be written either")


def _since(started_s: float) -> float:
    return time.monotonic() - started_s
