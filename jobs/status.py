"""Say how a library stands, from the library alone: works when the cluster is gone.

example:
  python jobs/status.py s3://bucket/library
"""

from __future__ import annotations

import sys
from collections import Counter

from dreamfoundry.library import report
from dreamfoundry.library.command_line import CommandLine, exit_code_of
from dreamfoundry.store import Library, open_store


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
    keys = set(library.store.list("runs/"))
    runs = [key for key in keys if key.endswith("/report.json")]
    for key in sorted(keys):
        if key.endswith("/start.json") and key.replace("start.json", "report.json") not in keys:
            begun = report.start_from_json(library.store.get(key))
            print(
                f"run {begun.run_id} began {begun.started_at} with {begun.num_builds} assets to build and has left no "
                "report: it goes on, or it was killed; run its line again to be sure"
            )
    if runs:
        last = report.from_json(library.store.get(max(runs)))
        print(
            f"last run {last.run_id}: {last.word} (exit {last.exit_code}), {last.finished_at}: "
            f"{last.published} published, {last.skipped} skipped, {last.quarantined} quarantined, "
            f"{last.lost_rows} lost, {last.pending} pending of {last.num_rows} rows; {last.message}"
        )
    quarantined = f"{counts['quarantined']} quarantined" + (f" ({why})" if why else "")
    print(f"{counts['published']} published, {quarantined}, {len(runs)} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
