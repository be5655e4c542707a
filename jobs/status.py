"""Say how a library stands, from the library alone: works when the cluster is gone.

example:
  python jobs/status.py s3://bucket/library
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run import report
from dreamfoundry.run.progress import duration
from dreamfoundry.run.report import RunProgress, RunReport


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("library", metavar="LIBRARY", help="a directory or s3://bucket/prefix")
    arguments = command_line.parse_args()
    return exit_code_of(lambda: describe(Library(open_store(arguments.library))))


def describe(library: Library) -> int:
    counts: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for outcome in library.outcomes():
        counts[outcome.state] += 1
        if outcome.state == "quarantined":
            classes[outcome.failure_class] += 1
    why = ", ".join(f"{count} {name}" for name, count in classes.most_common())
    runs = {run_id: report.latest(library.store.get, run_id) for run_id in sorted(run_ids(library))}
    for record in runs.values():
        if isinstance(record, RunProgress):
            print(under_way(record))
    reports = [record for record in runs.values() if isinstance(record, RunReport)]
    for last in reports[-1:]:
        print(
            f"last run {last.run_id}: {last.status} (exit {last.exit_code}), {last.finished_at}: "
            f"{last.published} published, {last.skipped} skipped, {last.quarantined} quarantined, "
            f"{last.lost_rows} lost, {last.pending} pending of {last.num_rows} rows, {last.num_steps} steps"
            + (f"; {last.message}" if last.message else "")
        )
    spent = Counter[str]()
    for record in runs.values():
        spent.update(record.optimizer_s)
    if spent:
        print(describe_time(spent, sum(report.cost(run.optimizer_s, run.price_per_hour) for run in runs.values())))
    quarantined = f"{counts['quarantined']} quarantined" + (f" ({why})" if why else "")
    print(f"{counts['published']} published, {quarantined}, {len(runs)} runs")
    return 0


def run_ids(library: Library) -> set[str]:
    return {key.split("/")[1] for key in library.store.list("runs/")}


def under_way(run: RunProgress) -> str:
    left = run.num_builds - run.published - run.quarantined
    eta = "" if run.eta_s is None else f", about {duration(run.eta_s)} to go"
    return (
        f"run {run.run_id} began {run.started_at} with {run.num_builds} assets to build; at {run.at}: "
        f"{run.published} published, {run.quarantined} quarantined, {left} left{eta}. It has left no report: "
        "it goes on, or it was killed; run its line again to be sure"
    )


def describe_time(spent: Mapping[str, float], cost: float) -> str:
    """Hours of optimizers over all runs, and money where runs were told a price."""
    hours = {name: spent.get(name, 0.0) / 3600.0 for name in ("useful", "wasted", "idle")}
    parts = ", ".join(f"{value:.2f} h {name}" for name, value in hours.items())
    return f"optimizers: {parts}" + (f", cost {cost:.2f}" if cost else "")


if __name__ == "__main__":
    sys.exit(main())
