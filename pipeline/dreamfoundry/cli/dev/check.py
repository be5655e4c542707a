"""Check every asset of a library as it was delivered, and write down how good the assets are.

examples:
  make assets-check
  dreamfoundry dev check out/library
  dreamfoundry dev check out/library --markdown out/README.md --contact-sheet out/assets.webp --json out/all.json

The exporter is not trusted: every file must have the digest in asset.json, and asset.json the one in
its outcome; the Khronos validator, the validators of USD and the readers of `dreamfoundry dev importers` read
the delivered bytes once more. Gates, scores and seconds are those of asset.json. Of several exports
of one prompt in one profile the newest counts. What is absent is "not run", which is never to be read
as passed.

exit codes:
   0  nothing is wrong
   1  a prompt was refused, or something is wrong with what was delivered
   4  the command line cannot be used
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from json import dumps
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app, typed_command
from dreamfoundry.cli.flags import ExistingFile, OutputFile
from dreamfoundry.library.library import Library
from dreamfoundry.records import Outcome
from dreamfoundry.run import report
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.run.report import RunReport

app = command_app("check", __doc__)


@app.default
def check(
    library: Annotated[Path, Parameter(help="a folder that `dreamfoundry build` has filled")],
    /,
    *,
    markdown: Annotated[OutputFile | None, Parameter(help="where to write the tables")] = None,
    json: Annotated[OutputFile | None, Parameter(help="where to write every figure")] = None,
    contact_sheet: Annotated[OutputFile | None, Parameter(help="all thumbnails, as .webp or .png")] = None,
    before: Annotated[ExistingFile | None, Parameter(help="figures of an earlier version (--json), to compare")] = None,
) -> int:
    """Check a library, print what is wrong, and write the files that are named; the exit code."""
    from dreamfoundry.evaluation.delivery.before import read_before
    from dreamfoundry.evaluation.delivery.check import check_library, thumbnails
    from dreamfoundry.evaluation.delivery.report import contact_sheet as write_sheet
    from dreamfoundry.evaluation.delivery.report import page

    earlier = read_before(before) if before else None
    figures, assets, num_files = check_library(library, typed_command(), runs_of)
    num_wrong = len(figures["wrong"])
    for line in figures["wrong"]:
        print(f"not ok  {line}")
    for name, reader in figures["readers"].items():
        print(f"{name}: {describe_reader(reader)}")
    print(
        f"{figures['asked']} asked, {figures['published']} published, {num_files} files: "
        f"{f'{num_wrong} things are wrong' if num_wrong else 'nothing is wrong'}"
    )

    if contact_sheet:
        write_sheet(thumbnails(assets), contact_sheet)
    picture = os.path.relpath(contact_sheet, markdown.parent) if contact_sheet and markdown else ""
    for path, text in ((json, dumps(figures, indent=1) + "\n"), (markdown, page(figures, picture, earlier))):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return EXIT_CODES["failed" if num_wrong else "complete"]


def describe_reader(reader: Mapping[str, Any]) -> str:
    """One line on what a reader of another program read."""
    if "not_run" in reader:
        return f"not run: {reader['not_run']}"
    return f"{reader['files']} files of {reader['assets']} assets, {len(reader['disagreements'])} disagreements"


def runs_of(library: Library, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Duration and counts of the finished runs that published `outcomes`."""
    run_ids = dict.fromkeys(str(outcome.provenance["run_id"]) for outcome in outcomes if "run_id" in outcome.provenance)
    records = [report.latest(library.store.get, run_id) for run_id in run_ids]
    return [
        {
            "run_id": record.run_id,
            "published": record.published,
            "quarantined": record.quarantined,
            "num_steps": record.num_steps,
            "wall_s": (_time(record.finished_at) - _time(record.started_at)).total_seconds(),
        }
        for record in records
        if isinstance(record, RunReport)
    ]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
