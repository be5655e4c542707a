"""Submit a run to a Ray cluster, follow it, and exit with its true exit code.

examples:
  python jobs/submit.py -- python jobs/build_library.py s3://bucket/prompts.parquet s3://bucket/library
  python jobs/submit.py --address http://head:8265 --working-dir . -- python jobs/build_library.py …
  python jobs/submit.py --no-wait --submission-id nightly-2025-01-31 -- python jobs/build_library.py …

Exit codes are those of the command (see jobs/build_library.py --help), which `ray job submit`
turns into 0 and 1. Ctrl-C asks the job to stop and waits for it. With --no-wait only the
submission id is printed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from dreamfoundry.errors import InfrastructureError
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.run.ray.job import follow, submit

DEFAULT_ADDRESS = "http://127.0.0.1:8265"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--address",
        default=os.environ.get("RAY_API_SERVER_ADDRESS", DEFAULT_ADDRESS),
        help="dashboard of the head (default: RAY_API_SERVER_ADDRESS or %(default)s)",
    )
    parser.add_argument("--working-dir", default="", help="folder to send along; not needed if the image has the code")
    parser.add_argument("--submission-id", default="", help="name of the job; the same name is accepted once")
    parser.add_argument("--no-wait", action="store_true", help="do not follow the job")
    parser.add_argument("command", nargs="+", metavar="-- COMMAND", help="what the job runs")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        name = submit(
            arguments.address,
            arguments.command,
            working_dir=arguments.working_dir,
            submission_id=arguments.submission_id,
        )
        print(f"submitted {name}", flush=True)
        return 0 if arguments.no_wait else follow(arguments.address, name, sys.stdout, stop.is_set)
    except InfrastructureError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODES["failed"]


if __name__ == "__main__":
    sys.exit(main())
