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

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    with _place_of(library) as place:
        for verdict in examine(open_store(place)):
            marks.add(verdict.mark)
            print(f"{verdict.mark:6}  {verdict.name}: {verdict.words}", flush=True)

    is_fit = "not ok" not in marks
    print(f"{library} {'can' if is_fit else 'cannot'} carry a library")
    return EXIT_CODES["complete" if is_fit else "failed"]


@contextmanager
def _place_of(library: str) -> Iterator[str]:
    """The place to try `library` out: itself, or for a folder that holds none yet a passing one on the same disk."""
    root = Path(library).expanduser()
    if "://" in library or not library.strip() or (root.is_dir() and any(root.iterdir())):
        yield library
        return

    above = next(path for path in (root, *root.absolute().parents) if path.exists())
    try:
        folder = tempfile.TemporaryDirectory(dir=above, prefix=".dreamfoundry-")
    except OSError:
        yield library  # its own error says why nothing can be made there
        return
    with folder as name:
        yield name
