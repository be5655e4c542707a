"""The pace of earlier runs of a library: seconds of a step and of an export."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from tempfile import TemporaryFile

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.library import catalog
from dreamfoundry.library.library import RUNS, Library
from dreamfoundry.library.rows import BAD_ROW
from dreamfoundry.run import report
from dreamfoundry.run.report import RunReport

MIN_ASSETS = 8
"""A pace is that of so many assets or more: the first ones pay for warming up, and few are no sample."""


@dataclass(frozen=True)
class Pace:
    """Seconds of a worker for one step of one field, or for one export, and where they are from."""

    seconds: float
    source: str


def step_pace(library: Library) -> tuple[Pace | None, int]:
    """The pace of the last run that made enough assets; beside it the most assets that a run made.

    Time that workers spent idle or loading is left out.
    """
    most_assets = 0
    for run_id in reversed(report.run_ids(library.store.list(RUNS))):
        try:
            last = report.from_json(RunReport, library.store.get(report.key(RunReport, run_id)))
        except (ObjectMissing, ObjectCorrupt):
            continue  # under way, or killed; what cannot be read is for `verify` to tell
        if not last.num_steps:
            continue

        num_assets = last.published + last.quarantined - last.failure_classes.get(BAD_ROW, 0)
        most_assets = max(most_assets, num_assets)
        if num_assets >= MIN_ASSETS:
            used_s = sum(seconds for use, seconds in last.optimizer_s.items() if use != "idle")
            source = f"as in run {run_id}, which made {num_assets:,} assets in {last.num_steps:,} steps"
            return Pace(used_s / last.num_steps, source), most_assets
    return None, most_assets


def export_pace(library: Library, profile: str) -> Pace | None:
    """The median of the exports for `profile` in the catalog; None where they are too few."""
    try:
        with TemporaryFile() as file:
            library.store.get_file(catalog.KEY, file)
            found_s = catalog.export_seconds(file, profile)
    except (ObjectMissing, ObjectCorrupt):
        return None
    if len(found_s) < MIN_ASSETS:
        return None
    return Pace(statistics.median(found_s), f"the median of {len(found_s):,} for {profile} in this library")
