"""A run that only looks: what it would find in the manifest, what it would make, and what that takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dreamfoundry.manifest.reader import ManifestReport
from dreamfoundry.run.display import TextStream, duration
from dreamfoundry.run.exit_codes import RunStatus
from dreamfoundry.run.planning.intake import MAX_NAMED, check, conflicts, plan, remarks
from dreamfoundry.run.planning.pace import MIN_ASSETS, Pace, export_pace, step_pace
from dreamfoundry.run.planning.plan import Remaining, Tally
from dreamfoundry.run.planning.row_list import write_list
from dreamfoundry.run.progress import Progress
from dreamfoundry.run.request import RunRequest


@dataclass(frozen=True)
class Forecast:
    """The manifest as it was scanned, its rows as they stand now, and the work that a run would do.

    `conflicts` are sentences about the first rows in conflict. `pace` of steps and `exports` are None where nothing is
    known; `most_assets` is what a run of this library made at most. `lacks_gpu`: the device is a GPU that is not here.
    `num_listed` rows are in the list that was asked for.
    """

    request: RunRequest
    scan: ManifestReport
    tally: Tally
    remaining: Remaining
    pace: Pace | None
    exports: Pace | None = None
    most_assets: int = 0
    lacks_gpu: bool = False
    conflicts: tuple[str, ...] = ()
    num_listed: int = 0

    @property
    def status(self) -> RunStatus:
        """The end of the run if no prompt fails."""
        if self.scan.conflicts or (self.scan.row_errors and not self.request.quarantine_bad_rows):
            return "refused"
        if self.lacks_gpu and self.tally.pending:
            return "failed"
        has_gaps = bool(self.scan.row_errors or self.scan.lost or self.tally.failure_classes)
        return "partial" if has_gaps else "complete"

    @property
    def optimize_s(self) -> float | None:
        """Seconds of all distill workers together until all fields are there; None where nothing is known."""
        if not self.remaining.num_steps:
            return 0.0
        return self.remaining.num_steps * self.pace.seconds if self.pace else None

    @property
    def export_s(self) -> float | None:
        """Seconds of all export workers together, for stored fields and for those to come; None if not known."""
        num_assets = self.remaining.num_exports + self.remaining.num_fields
        return num_assets * self.exports.seconds if self.exports else None

    @property
    def cost(self) -> float | None:
        """Price of the distill workers' machines: until the last of optimisation and exports ends, as far as known."""
        if self.optimize_s is None:
            return None
        machine_s = max(self.optimize_s, (self.export_s or 0.0) * self.num_distillers / self.num_exporters)
        return machine_s / 3600.0 * self.request.price_per_hour

    @property
    def num_distillers(self) -> int:
        """Distill workers that have something to do."""
        return max(1, min(self.request.num_distill_workers, self.remaining.num_fields or 1))

    @property
    def num_exporters(self) -> int:
        """Export workers that have something to do."""
        return max(1, min(self.request.num_export_workers, self.remaining.num_exports + self.remaining.num_fields))


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
        for note in context.unreadable.take_notes(MAX_NAMED):
            progress.note(note)

        pace, most_assets = step_pace(context.library)
        if asset_s and remaining.num_steps:
            pace = Pace(asset_s * remaining.num_fields / remaining.num_steps, "as given")
        return Forecast(
            request,
            context.scan,
            planned.tally(),
            remaining,
            pace,
            exports=export_pace(context.library, request.profile.name),
            most_assets=most_assets,
            lacks_gpu=_lacks_gpu(request),
            conflicts=tuple(conflicts(context.scan, context.manifest)),
            num_listed=write_list(context.scan, context.manifest, list_file) if list_file else 0,
        )


def _lacks_gpu(request: RunRequest) -> bool:
    """True if the run needs a GPU of this machine, and there is none. What a cluster has, nobody knows beforehand."""
    if not request.device.startswith("cuda") or (request.use_ray and not request.has_own_ray):
        return False
    import torch  # takes seconds, and only a GPU needs it here

    return not torch.cuda.is_available()


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
    if found.lacks_gpu and tally.pending:
        yield (
            "device",
            f"{found.request.device!r}: this machine has no GPU; use --device cpu, or a cluster (RAY_ADDRESS)",
        )
    yield "time", "; ".join(_describe_time(found))


def _describe_time(found: Forecast) -> Iterator[str]:
    remaining, request = found.remaining, found.request
    if not remaining.num_steps and not remaining.num_exports:
        yield "nothing is to make"
        return

    if remaining.num_steps and (found.optimize_s is None or found.pace is None):
        made = f"{found.most_assets} assets in a run at most, and {MIN_ASSETS} are needed to tell"
        yield (
            f"not known ({made if found.most_assets else 'no run of this library has made steps yet'}): "
            "`dreamfoundry preflight` measures an asset, and --asset-s tells it to a dry run"
        )
    elif found.optimize_s and found.pace is not None:
        workers = f"{found.num_distillers} distill workers"
        yield f"about {duration(found.optimize_s / found.num_distillers)} for {workers}"
        yield f"{found.pace.seconds:.3g} s a step {found.pace.source}"

    if found.export_s is None or found.exports is None:
        yield "loading and exports come on top, not known yet"
    else:
        yield f"exports about {duration(found.export_s / found.num_exporters)} for {found.num_exporters} export workers"
        yield f"{found.exports.seconds:.3g} s each, {found.exports.source}"
        yield "loading comes on top"
    if request.price_per_hour and found.cost is not None:
        yield f"cost {found.cost:,.2f}" + (" without exports" if found.exports is None else "")
