"""Check that a library is whole: every outcome, every blob, every named view.

examples:
  dreamfoundry verify s3://bucket/library
  dreamfoundry verify s3://bucket/library --rebuild      write views, pointers, catalog and page again first

Reads everything once: outcomes must parse and have the keys of the requests in them, blobs must have the digest
and the size that outcomes and fields state, published assets must have passed their gates, and named views,
latest pointers, catalog and index.html must agree with the outcomes. One line for each defect, with its remedy.
--rebuild makes the latter four from the outcomes, byte for byte as a run does. While a run is at work its newest
assets may look unfinished: check again when it has ended.

exit codes:
   0  nothing is wrong
   1  something is wrong, or the store cannot be reached
   4  the command line cannot be used, or names no library
"""

from __future__ import annotations

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Flag, LibraryUrl
from dreamfoundry.run.exit_codes import EXIT_CODES

app = command_app("verify", __doc__)


@app.default
def verify(library: LibraryUrl, /, *, rebuild: Flag = False) -> int:
    """Print every defect and a summary; the exit code.

    Parameters
    ----------
    rebuild
        write all projections again before checking
    """
    from dreamfoundry.errors import ConfigError, ObjectCorrupt, ObjectMissing
    from dreamfoundry.host.faults import machine_faults
    from dreamfoundry.library.audit import Audit
    from dreamfoundry.library.library import Library
    from dreamfoundry.library.projections import rebuild as rebuild_projections
    from dreamfoundry.object_store.open import open_store

    with machine_faults():
        contents = Library(open_store(library, is_read_only=True))
        if not contents.is_begun():
            raise ConfigError(f"library = {library!r}: no run has written there; is the name right?")
        if rebuild:
            contents = Library(open_store(library))
            try:
                rebuild_projections(contents)
            except (ObjectCorrupt, ObjectMissing) as error:
                print(f"not ok  not everything could be rebuilt: {error}", flush=True)

        audit = Audit(contents)
        num_defects = 0
        for defect in audit.defects():
            num_defects += 1
            print(f"not ok  {defect.key}: {defect.problem}; {defect.remedy}", flush=True)

    if audit.num_older:
        print(f"note    {audit.num_older} outcomes are of an older version: their keys cannot be recomputed")
    if audit.num_unvalidated:
        print(f"note    {audit.num_unvalidated} assets were published where the Khronos validator was not run")
    print(
        f"{audit.num_outcomes} outcomes, {audit.num_blobs} blobs of {audit.num_blob_bytes / 1e6:,.1f} MB, "
        f"{audit.num_views} named views: {f'{num_defects} defects' if num_defects else 'nothing is wrong'}"
    )
    return EXIT_CODES["failed" if num_defects else "complete"]
