"""Submit a run to a Ray cluster, follow it, and exit with its true exit code.

examples:
  dreamfoundry submit -- python jobs/build_library.py s3://bucket/prompts.parquet s3://bucket/library
  dreamfoundry submit --address http://head:8265 --working-dir . -- python jobs/build_library.py …
  dreamfoundry submit --no-wait --submission-id nightly-2025-01-31 -- python jobs/build_library.py …

exit codes:
  those of the command (see dreamfoundry build --help), which `ray job submit` turns into 0 and 1
   1  the head cannot be reached
   4  the command line cannot be used

Ctrl-C asks the job to stop and waits for it. With --no-wait only the submission id is printed.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Flag
from dreamfoundry.errors import ConfigError
from dreamfoundry.run.exit_codes import EXIT_CODES

DEFAULT_ADDRESS = "http://127.0.0.1:8265"

app = command_app("submit", __doc__)


@app.default
def submit(
    *command: Annotated[str, Parameter(help="after --: the program of the job and its flags")],
    address: Annotated[
        str, Parameter(env_var="RAY_API_SERVER_ADDRESS", help="dashboard of the head")
    ] = DEFAULT_ADDRESS,
    working_dir: Annotated[
        str, Parameter(show_default=False, help="folder to send along; not needed if the image has the code")
    ] = "",
    submission_id: Annotated[
        str, Parameter(show_default=False, help="name of the job; the same name is accepted once")
    ] = "",
    no_wait: Annotated[Flag, Parameter(help="do not follow the job")] = False,
) -> int:
    """Submit `command`, print its submission id, and follow its log."""
    if not command:
        raise ConfigError("no command: name it after --, as in `-- python jobs/build_library.py MANIFEST LIBRARY`")

    from dreamfoundry.run.ray.job import follow
    from dreamfoundry.run.ray.job import submit as submit_job

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    name = submit_job(address, command, working_dir=working_dir, submission_id=submission_id)
    print(f"submitted {name}", flush=True)
    return EXIT_CODES["complete"] if no_wait else follow(address, name, sys.stdout, stop.is_set)
