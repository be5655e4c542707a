"""Say whether a store can carry a library, before a night is spent on it.

examples:
  python jobs/doctor.py s3://bucket/library
  python jobs/doctor.py /mnt/assets/library

Tries out on the spot what a run needs: conditional writes, digests, complete listings, names,
rights, the clock. One line for each: ok, not ok with what to do, or a note that a run can live
with. Works with the credentials that it finds, so use those of the run. Leaves nothing behind.

exit codes:
   0  the store can be used
   1  it cannot; the lines that begin with "not ok" say why
   4  the command line cannot be used
"""

from __future__ import annotations

import sys

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.library.store_check import examine
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.exit_codes import EXIT_CODES


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("library", metavar="LIBRARY", help="a directory or s3://bucket/prefix")
    return exit_code_of(lambda: doctor(command_line.parse_args().library))


def doctor(url: str) -> int:
    """Print a line for each probe; whether all of what a run needs is there."""
    marks = set()
    for verdict in examine(open_store(url)):
        marks.add(verdict.mark)
        print(f"{verdict.mark:6}  {verdict.name}: {verdict.words}", flush=True)
    is_fit = "not ok" not in marks
    print(f"{url} {'can' if is_fit else 'cannot'} carry a library")
    return EXIT_CODES["complete" if is_fit else "failed"]


if __name__ == "__main__":
    sys.exit(main())
