"""Say whether a store can carry a library, before a night is spent on it.

examples:
  dreamfoundry doctor s3://bucket/library
  dreamfoundry doctor /mnt/assets/library

Tries out on the spot what a run needs: conditional writes, digests, complete listings, names, rights, the
clock. One line for each: ok, not ok with the remedy, or a note that a run can live with. Works with the
credentials that it finds, so use those of the run. Leaves nothing behind.

exit codes:
   0  the store can be used
   1  it cannot; the lines that begin with "not ok" say why
   4  the command line cannot be used
"""

from __future__ import annotations

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import LibraryUrl
from dreamfoundry.run.exit_codes import EXIT_CODES

app = command_app("doctor", __doc__)


@app.default
def doctor(library: LibraryUrl, /) -> int:
    """Print a line for each trial and the verdict."""
    from dreamfoundry.library.store_check import examine
    from dreamfoundry.object_store.open import open_store

    marks = set()
    for verdict in examine(open_store(library)):
        marks.add(verdict.mark)
        print(f"{verdict.mark:6}  {verdict.name}: {verdict.words}", flush=True)

    is_fit = "not ok" not in marks
    print(f"{library} {'can' if is_fit else 'cannot'} carry a library")
    return EXIT_CODES["complete" if is_fit else "failed"]
