"""Say how a library stands, from the library alone: works when the cluster is gone.

example:
  python jobs/status.py s3://bucket/library
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from dreamfoundry.errors import DreamfoundryError, InputError
from dreamfoundry.library import report
from dreamfoundry.store import Library, open_store


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", metavar="LIBRARY", help="a directory or s3://bucket/prefix")
    arguments = parser.parse_args()
    try:
        library = Library(open_store(arguments.library))
        describe(library)
    except DreamfoundryError as error:
        print(f"error: {error}", file=sys.stderr)
        return report.EXIT_CODES["refused" if isinstance(error, InputError) else "failed"]
    return 0


def describe(library: Library) -> None:
    counts: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for outcome in library.outcomes():
        counts[outcome.state] += 1
        if outcome.state == "quarantined":
            classes[outcome.failure_class] += 1
    why = ", ".join(f"{count} {name}" for name, count in classes.most_common())
    runs = [key for key in library.store.list("runs/") if key.endswith("/report.json")]
    if runs:
        last = report.from_json(library.store.get(max(runs)))
        print(
            f"last run {last.run_id}: {last.word} (exit {last.exit_code}), {last.finished_at}: "
            f"{last.published} published, {last.skipped} skipped, {last.quarantined} quarantined, "
            f"{last.lost_rows} lost, {last.pending} pending of {last.num_rows} rows; {last.message}"
        )
    quarantined = f"{counts['quarantined']} quarantined" + (f" ({why})" if why else "")
    print(f"{counts['published']} published, {quarantined}, {len(runs)} runs")


if __name__ == "__main__":
    sys.exit(main())
