"""A run that only looks: what it would find in the manifest, what it would make, and what that takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.library.library import Library
from dreamfoundry.manifest.reader import ManifestReport
from dreamfoundry.run import report
from dreamfoundry.run.display import TextStream, duration
from dreamfoundry.run.exit_codes import RunStatus
from dreamfoundry.run.planning.intake import MAX_NAMED, check, conflicts, plan, remarks
from dreamfoundry.run.planning.plan import Remaining, Tally
from dreamfoundry.run.planning.row_list import write_list
from dreamfoundry.run.progress import Progress
from dreamfoundry.run.report import RunReport
from dreamfoundry.run.request import RunRequest


@dataclass(frozen=True)
class Pace:
    """Seconds of a distill worker for one step of one field, and who says so."""

    worker_s_per_step: float
    source: str


@dataclass(frozen=True)
class Forecast:
    """The manifest as it was scanned, its rows as they stand now, and the work that a run would do.

    `conflicts` are sentences about the first rows in conflict. `pace` is None where nothing is known: no run of this
    library has left a report with steps. `num_listed` rows are in the list that was asked for.
    """

    request: RunRequest
    scan: ManifestReport
    tally: Tally
    remaining: Remaining
    pace: Pace | None
    conflicts: tuple[str, ...] = ()
    num_listed: int = 0

    @property
    def status(self) -> RunStatus:
        """The end of the run if no prompt fails."""
        if self.scan.conflicts or (self.scan.row_errors and not self.request.quarantine_bad_rows):
            return "refused"
        has_gaps = bool(self.scan.row_errors or self.scan.lost or self.tally.failure_classes)
        return "partial" if has_gaps else "complete"

    @property
    def worker_s(self) -> float | None:
        """Seconds of distill workers, all together; None where nothing is known."""
        return self.remaining.num_steps * self.pace.worker_s_per_step if self.pace else None


def forecast(
    request: RunRequest,
    stream: TextStream,
    should_stop: Callable[[], bool] = lambda: False,
    asset_s: float = 0.0,
    list_file: Path | None = None,
) -> Forecast:
    """Check and plan as a run would, without a worker and without writing anything. Raises as a run does.

    `asset_s` are the seconds of a distill worker for one field; with 0, the last run of the library tells.
    `list_file` gets every row that will not become an asset (`row_list`).
    """
    request = request.with_workers()
    with tempfile.TemporaryDirectory(prefix="df-manifest-") as folder, closing(Progress(stream)) as progress:
        context = check(request, Path(folder), progress, should_stop)
        planned = plan(context)
        remaining = planned.remaining(context.library.stored_fields())
        pace = _last_pace(context.library)
        if asset_s and remaining.num_steps:
            pace = Pace(asset_s * remaining.num_fields / remaining.num_steps, "as given")
        return Forecast(
            request,
            context.scan,
            planned.tally(),
            remaining,
            pace,
            conflicts=tuple(conflicts(context.scan, context.manifest)),
            num_listed=write_list(context.scan, context.manifest, list_file) if list_file else 0,
        )


def _last_pace(library: Library) -> Pace | None:
    """As fast as the last run of this library that made steps."""
    for run_id in sorted({key.split("/")[1] for key in library.store.list("runs/")}, reverse=True):
        try:
            last = report.from_json(RunReport, library.store.get(report.key(RunReport, run_id)))
        except (ObjectMissing, ObjectCorrupt):
            continue  # under way, or killed; what cannot be read is for `verify` to tell
        if last.num_steps:
            used_s = sum(seconds for use, seconds in last.optimizer_s.items() if use != "idle")
            return Pace(used_s / last.num_steps, f"as in run {run_id}, which made {last.num_steps:,}")
    return None


def describe(found: Forecast) -> Iterator[tuple[str, str]]:
    """(subject, sentence) for people."""
    scan, tally, remaining = found.scan, found.tally, found.remaining
    yield "manifest", f"{found.request.manifest}: {scan.num_rows:,} rows, {scan.num_prompts:,} prompts"
    for error in scan.row_errors[:MAX_NAMED]:
        yield "bad row", str(error)
    if len(scan.row_errors) > MAX_NAMED:
        yield "bad row", f"… and {len(scan.row_errors) - MAX_NAMED:,} more: --list FILE writes all of them"
    for text in found.conflicts:
        yield "conflict", text
    if len(scan.conflicts) > MAX_NAMED:
        yield "conflict", f"… and {len(scan.conflicts) - MAX_NAMED:,} more: --list FILE writes all of them"
    yield from remarks(scan)

    failed = sum(tally.failure_classes.values())
    why = ", ".join(f"{count:,} {name}" for name, count in tally.failure_classes.items())
    yield "there already", f"{tally.skipped:,} rows" + (f", {failed:,} of them quarantined ({why})" if failed else "")
    yield "to make", f"{tally.pending:,} rows"
    yield "to export", f"{remaining.num_exports:,} assets whose field exists"
    yield "to optimise", f"{remaining.num_fields:,} fields (equal requests share one), {remaining.num_steps:,} steps"
    yield "time", _describe_time(found)


def _describe_time(found: Forecast) -> str:
    num_workers = found.request.num_distill_workers
    if not found.remaining.num_steps:
        return "that of the exports" if found.remaining.num_exports else "nothing is to make"
    if found.worker_s is None or found.pace is None:
        return (
            "not known: no run of this library has made steps yet; `dreamfoundry preflight` measures an asset, "
            "and --asset-s tells it to a dry run"
        )
    text = (
        f"about {duration(found.worker_s / num_workers)} for {num_workers} distill workers, "
        f"{found.pace.worker_s_per_step:.3g} s a step {found.pace.source}; loading and exports come on top"
    )
    if found.request.price_per_hour:
        text += f"; cost {found.worker_s / 3600.0 * found.request.price_per_hour:,.2f}"
    return text
