"""Submit a command as a Ray job and follow it to its true exit code.

`ray job submit` exits with 1 for every failure and with 0 for a job that was stopped; the exit code
of the driver itself is in the job's details only.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from typing import Any

from dreamfoundry.errors import InfrastructureError
from dreamfoundry.run.display import TextStream
from dreamfoundry.run.exit_codes import EXIT_CODES

POLL_S = 1.0
STOP_WAIT_S = 110
"""Time that a stopped job gets between SIGTERM and SIGKILL; Ray's default is 3 s."""

AGENT_WAIT_S = 60.0
"""A head answers before its agent, which starts jobs, is up; until then it may accept none."""

NO_AGENT_YET = "No available agent"
"""Part of Ray's message then; nothing has been accepted."""

MAX_SILENCE_S = 120.0
"""After this long without an answer from the head, following ends with an error."""


def submit(address: str, command: Sequence[str], *, working_dir: str = "", submission_id: str = "") -> str:
    """Hand `command` to the head at `address` ("http://host:8265"); returns the submission id.

    `working_dir` is sent along (100 MiB at most) and becomes the current folder of the job. Waits for
    a head that has just come up. InfrastructureError if the job is not accepted.
    """
    client, end_s = _client(address), time.monotonic() + AGENT_WAIT_S
    runtime_env: dict[str, Any] = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)}}
    if working_dir:
        runtime_env["working_dir"] = working_dir

    while True:
        try:
            name: str = client.submit_job(
                entrypoint=shlex.join(command), runtime_env=runtime_env, submission_id=submission_id or None
            )
            return name
        except (RuntimeError, ValueError) as error:
            if NO_AGENT_YET not in str(error) or time.monotonic() > end_s:
                raise InfrastructureError(f"the job was not accepted by {address}: {error}") from None
            time.sleep(POLL_S)


def follow(address: str, name: str, stream: TextStream, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Copy the job's log to `stream` until it ends; returns the exit code of its driver.

    When `should_stop()` turns true the job gets one request to stop and is followed to its end.
    """
    client = _client(address)
    num_copied, is_stopping, answered_s = 0, False, time.monotonic()
    while True:
        if should_stop() and not is_stopping:
            is_stopping = bool(client.stop_job(name))

        # the head may be away for a while: the job does not need it
        try:
            details = client.get_job_info(name)
            log = client.get_job_logs(name)
        except (ConnectionError, RuntimeError, ValueError) as error:
            if time.monotonic() - answered_s > MAX_SILENCE_S:
                raise InfrastructureError(
                    f"no answer from {address} for {MAX_SILENCE_S:.0f} s ({error}); the job may go on: "
                    "`dreamfoundry status` reads its report from the library"
                ) from None
            time.sleep(POLL_S)
            continue
        answered_s = time.monotonic()

        stream.write(log[num_copied:])
        stream.flush()
        num_copied = len(log)
        if details.status.is_terminal():
            return _exit_code(details)
        time.sleep(POLL_S)


def _exit_code(details: Any) -> int:
    if details.driver_exit_code is not None and details.driver_exit_code >= 0:
        return int(details.driver_exit_code)
    return {"SUCCEEDED": EXIT_CODES["complete"], "STOPPED": EXIT_CODES["drained"]}.get(
        str(details.status.value), EXIT_CODES["failed"]
    )


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InfrastructureError(
            f"no Ray head answers at {address} ({error}); give --address or RAY_API_SERVER_ADDRESS"
        ) from None
