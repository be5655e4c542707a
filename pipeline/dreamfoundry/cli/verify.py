"""Check that a library is whole: every outcome, every blob, every record, every named view.

examples:
  dreamfoundry verify s3://bucket/library
  dreamfoundry verify s3://bucket/library --rebuild      write views, pointers, catalog and page again first
  dreamfoundry verify s3://bucket/library --repair       mend first what can be mended, and say what was done

Reads everything once: records must parse, outcomes must have the keys of the requests in them, blobs must have the
digest and the size that outcomes and fields state, published assets must have passed their gates, and named views,
latest pointers, catalog and index.html must agree with the outcomes. One line for each defect, with its remedy.
It needs less than 256 MB for a million outcomes. While a run is at work, what it will write last is not compared.
--rebuild makes views, pointers, catalog and page from the outcomes, byte for byte as a run does. --repair brings lost
blobs back from the trash or from views, sets aside records that cannot be read, so that the next run of their manifests
makes them anew, and rebuilds; it needs the right to delete.

exit codes:
   0  nothing is wrong
   1  something is wrong, or the store cannot be reached
   4  the command line cannot be used, or names no library
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Flag, LibraryUrl
from dreamfoundry.run.exit_codes import EXIT_CODES

if TYPE_CHECKING:
    from dreamfoundry.library.audit.audit import Audit
    from dreamfoundry.library.audit.small_records import Parse

app = command_app("verify", __doc__)


@app.default
def verify(library: LibraryUrl, /, *, rebuild: Flag = False, repair: Flag = False) -> int:
    """Print every defect and a summary; the exit code.

    Parameters
    ----------
    rebuild
        write all projections again before checking
    repair
        mend what can be mended before checking
    """
    from dreamfoundry.errors import ConfigError
    from dreamfoundry.host.faults import machine_faults
    from dreamfoundry.library.audit.audit import Audit
    from dreamfoundry.library.library import RUNS, Library
    from dreamfoundry.object_store.open import open_store
    from dreamfoundry.run import report

    run_records = {RUNS: report.parse}
    with machine_faults():
        contents = Library(open_store(library, is_read_only=True))
        if not contents.is_begun():
            raise ConfigError(f"library = {library!r}: no run has written there; is the name right?")
        if rebuild or repair:
            _mend(library, run_records if repair else None)

        audit = Audit(contents, run_records)
        num_defects = 0
        for defect in audit.defects():
            num_defects += 1
            print(f"not ok  {defect.key}: {defect.problem}; {defect.remedy}", flush=True)

    for note in _notes(audit):
        print(f"note    {note}")
    print(
        f"{audit.num_outcomes} outcomes, {audit.num_blobs} blobs of {audit.num_blob_bytes / 1e6:,.1f} MB, "
        f"{audit.num_views} named views: {f'{num_defects} defects' if num_defects else 'nothing is wrong'}"
    )
    return EXIT_CODES["failed" if num_defects else "complete"]


def _mend(url: str, run_records: Mapping[str, Parse] | None) -> None:
    """Rebuild the projections; with `run_records` everything else is repaired first."""
    from dreamfoundry.library.audit.repair import repair
    from dreamfoundry.library.library import Library
    from dreamfoundry.library.projections import rebuild
    from dreamfoundry.object_store.open import open_store
    from dreamfoundry.run.run_ids import next_run_id

    library = Library(open_store(url))
    if run_records is None:
        rebuild(library)
        return
    for mended in repair(library, next_run_id(library), run_records):
        print(f"mended  {mended.key}: {mended.deed}", flush=True)


def _notes(audit: Audit) -> Iterator[str]:
    """Things to know that are no defects."""
    if audit.live_runs:
        live = ", ".join(audit.live_runs)
        yield f"at work, or killed minutes ago: {live}; views, pointers, catalog and page were not all compared"
    if audit.num_lost_fields:
        yield f"{audit.num_lost_fields} fields are lost: their assets are whole, another export optimises them again"
    if audit.num_older:
        yield f"{audit.num_older} outcomes are of an older version: their keys cannot be recomputed"
    if audit.num_unvalidated:
        yield f"{audit.num_unvalidated} assets were published where the Khronos validator was not run"
