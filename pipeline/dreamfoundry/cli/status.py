"""Say how a library stands, from the library alone: works when the cluster is gone.

example:
  dreamfoundry status s3://bucket/library

exit codes:
   0  done, whatever the state of the library
   1  the library cannot be reached
   4  the command line cannot be used, or names no library
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import LibraryUrl
from dreamfoundry.errors import ConfigError
from dreamfoundry.run.display import duration, printable
from dreamfoundry.run.exit_codes import EXIT_CODES

if TYPE_CHECKING:
    from dreamfoundry.library.library import Library
    from dreamfoundry.run.report import RunProgress, RunReport
    from dreamfoundry.run.unreadable_keys import UnreadableKeys

app = command_app("status", __doc__)

MOST_NOTES = 20
"""Objects that cannot be read, of those that are named."""


@app.default
def status(library: LibraryUrl, /) -> int:
    """Print the state of `library`: a table on a terminal, lines elsewhere."""
    from dreamfoundry.library.library import Library
    from dreamfoundry.object_store.open import open_store
    from dreamfoundry.run.unreadable_keys import UnreadableKeys

    unreadable = UnreadableKeys()
    contents = Library(open_store(library, is_read_only=True), unreadable)
    if not contents.is_begun():
        _say_nothing_begun(contents, library)
        return EXIT_CODES["complete"]

    rows = chain(describe(contents), _notes(unreadable))
    if sys.stdout.isatty():
        _print_table(library, rows)
    else:
        for _, text in rows:
            print(text)
    return EXIT_CODES["complete"]


def _say_nothing_begun(contents: Library, name: str) -> None:
    """Print what an empty place is; ConfigError where other things lie there."""
    stranger = next(iter(contents.store.list()), None)
    if stranger is not None:
        raise ConfigError(f"library = {name!r}: no library, but {printable(stranger)!r} is there; is the name right?")
    print(f"{printable(name)}: empty, no run has begun; dreamfoundry build MANIFEST {shlex.quote(name)} begins one")


def describe(library: Library) -> Iterator[tuple[str, str]]:
    """(subject, sentence) of runs under way, the last ended run, time, money and assets."""
    from dreamfoundry.library.library import RUNS
    from dreamfoundry.run import report
    from dreamfoundry.run.report import RunProgress, RunReport

    counts, classes = _count_outcomes(library)
    run_ids = report.run_ids(library.store.list(RUNS))
    runs = {run_id: found for run_id in run_ids if (found := _last_word(library, run_id)) is not None}
    for record in runs.values():
        if isinstance(record, RunProgress):
            yield "no report yet", under_way(record)
    for last in [record for record in runs.values() if isinstance(record, RunReport)][-1:]:
        yield "last run", ended(last)

    spent = Counter[str]()
    for record in runs.values():
        spent.update(record.optimizer_s)
    if spent:
        cost = sum(report.cost(run.optimizer_s, run.price_per_hour) for run in runs.values())
        yield "distill workers", describe_time(spent, cost)

    why = ", ".join(f"{count} {name}" for name, count in classes.most_common())
    quarantined = f"{counts['quarantined']} quarantined" + (f" ({why})" if why else "")
    yield "library", f"{counts['published']} published, {quarantined}, {len(run_ids)} runs"


def _notes(unreadable: UnreadableKeys) -> Iterator[tuple[str, str]]:
    """(subject, sentence) of what could not be read, once everything else was."""
    for text in unreadable.take_notes(MOST_NOTES):
        yield "note", text


def _last_word(library: Library, run_id: str) -> RunProgress | RunReport | None:
    """The report of a run, or its last progress; None, and `library` is told, where they cannot be read."""
    from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
    from dreamfoundry.library.library import RUNS
    from dreamfoundry.run import report

    try:
        return report.latest(library.store.get, run_id)
    except (ObjectCorrupt, ObjectMissing) as error:
        key = f"{RUNS}{run_id}"
        library.on_unreadable(key, type(error)(f"{key}: {error}"))
        return None


def _count_outcomes(library: Library) -> tuple[Counter[str], Counter[str]]:
    """Outcomes by state, and quarantined ones by failure class; bad rows that were mended count no more."""
    from dreamfoundry.library.rows import mended_rows

    counts: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    mended = mended_rows(library)
    for outcome in library.outcomes():
        if outcome.asset_key in mended:
            continue
        counts[outcome.state] += 1
        if outcome.state == "quarantined":
            classes[outcome.failure_class] += 1
    return counts, classes


def under_way(run: RunProgress) -> str:
    """One sentence about a run that has left no report."""
    left = run.num_builds - run.published - run.quarantined
    eta = "" if run.eta_s is None else f", about {duration(run.eta_s)} to go"
    return (
        f"run {run.run_id} began {run.started_at} with {run.num_builds} assets to build; at {run.at}: "
        f"{run.published} published, {run.quarantined} quarantined, {left} left{eta}. "
        "No report yet: still running, or killed. The same build once more is safe: it takes what is left."
    )


def ended(run: RunReport) -> str:
    """One sentence about a run that has left a report."""
    return (
        f"last run {run.run_id}: {run.status} (exit {run.exit_code}), {run.finished_at}: "
        f"{run.published} published, {run.skipped} skipped, {run.quarantined} quarantined, "
        f"{run.lost_rows} lost, {run.pending} pending of {run.num_rows} rows, {run.num_steps} steps"
        + (f"; {run.message}" if run.message else "")
    )


def describe_time(spent: Mapping[str, float], cost: float) -> str:
    """Hours of distill workers over all runs, and money where runs were given a price."""
    hours = {name: spent.get(name, 0.0) / 3600.0 for name in ("useful", "wasted", "idle")}
    parts = ", ".join(f"{value:.2f} h {name}" for name, value in hours.items())
    return f"distill workers: {parts}" + (f", cost {cost:.2f}" if cost else "")


def _print_table(title: str, rows: Iterable[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, show_header=False)
    for subject, text in rows:
        table.add_row(Text(subject), Text(text))
    Console().print(table)
