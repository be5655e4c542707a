"""Check that a library is whole: every outcome, every blob, every named view.

examples:
  python jobs/verify.py s3://bucket/library
  python jobs/verify.py s3://bucket/library --rebuild       write views, pointers, catalog and page again first

Reads everything once: outcomes must parse, blobs must have the digest and the size that outcomes
and fields say, published assets must have passed their gates, named views, latest pointers, catalog
and index.html must be what the outcomes say. One line for each defect, with what to do. --rebuild
makes the latter four from the outcomes, byte for byte as a run does. While a run is at work its
newest assets may look unfinished: check again when it has ended.

exit codes:
   0  nothing is wrong
   1  something is wrong, or the store cannot be reached
   4  the command line cannot be used
"""

from __future__ import annotations

import sys

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.host.faults import machine_faults
from dreamfoundry.library.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import rebuild
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.exit_codes import EXIT_CODES


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("library", metavar="LIBRARY", help="a directory or s3://bucket/prefix")
    command_line.add_argument("--rebuild", action="store_true", help="write all projections again before checking")
    arguments = command_line.parse_args()

    def check() -> int:
        with machine_faults():
            return verify(arguments.library, arguments.rebuild)

    return exit_code_of(check)


def verify(url: str, is_rebuilt: bool) -> int:
    """Print every defect and a summary; the exit code."""
    library = Library(open_store(url))
    if is_rebuilt:
        try:
            rebuild(library)
        except (ObjectCorrupt, ObjectMissing) as error:
            print(f"not ok  not everything could be rebuilt: {error}", flush=True)
    audit = Audit(library)
    num_defects = 0
    for defect in audit.defects():
        num_defects += 1
        print(f"not ok  {defect.key}: {defect.problem}; {defect.remedy}", flush=True)
    if audit.num_unvalidated:
        print(f"note    {audit.num_unvalidated} assets were published where the Khronos validator was not run")
    print(
        f"{audit.num_outcomes} outcomes, {audit.num_blobs} blobs of {audit.num_blob_bytes / 1e6:,.1f} MB, "
        f"{audit.num_views} named views: {f'{num_defects} defects' if num_defects else 'nothing is wrong'}"
    )
    return EXIT_CODES["failed" if num_defects else "complete"]


if __name__ == "__main__":
    sys.exit(main())
