"""The stages of an export in a process that can be killed, warm from one export to the next.

A stage may hang, crash in native code or eat all memory, and none of these may take the worker
with it. The child is this file run as a program. It keeps its imports between exports and is
replaced when it was killed, died, or met an unexpected error.

Nothing outlives the worker (docs/adr/0009-exports-run-in-a-child-that-can-be-killed.md): the child
and what it starts die with their parents, and form one process group, which is killed as a whole.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO

from dreamfoundry.errors import (
    ExportDied,
    ExportOutOfMemory,
    ExportTimeout,
    InfrastructureError,
    MachineFault,
    PromptFailure,
)
from dreamfoundry.host.child_process import cpu_s, die_with, package_environment
from dreamfoundry.host.faults import machine_faults
from dreamfoundry.host.log_events import log_event
from dreamfoundry.records import AssetBundle, FieldSnapshot, Prompt
from dreamfoundry.run.messages import Failure, Fault
from dreamfoundry.settings.export_profiles import ExportProfile

LOG = logging.getLogger(__name__)

Stages = Callable[..., AssetBundle]
"""The function run by the child: `dreamfoundry.asset.export.export_asset`, or another that can be imported."""

EXPORT_LIMIT_S = 600.0
"""For one export with all its tries; less than the time limit of the scheduler for an exporter."""

MEMORY_LIMIT_BYTES = 4 * 2**30
"""Private memory of each process of an export; a `game_prop` from a grid of 128 takes 0.4 GiB at its peak."""

START_LIMIT_S = 180.0
"""The imports of a new child; they take seconds."""

REMEDY = "an export profile with fewer triangles and smaller textures, or fewer exports at once, would help"

MAX_TRIES = 3
"""Deaths of the child on one export after which the asset is given up."""


@dataclass(frozen=True)
class Exported:
    """The end of an export, after how many tries, and the cost of the last one.

    `cpu_s` is of the child and all that it starts; None if the child was killed, or off Linux.
    """

    result: AssetBundle | Failure
    tries: int
    cpu_s: float | None = None


class ExportProcess:
    """Runs `stages` for one asset at a time. Start it from a thread that lives as long as it does."""

    def __init__(
        self, stages: Stages, *, limit_s: float = EXPORT_LIMIT_S, memory_limit_bytes: int = MEMORY_LIMIT_BYTES
    ) -> None:
        self._stages, self._limit_s, self._memory_limit_bytes = stages, limit_s, memory_limit_bytes
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._log: IO[bytes] | None = None  # the output of the child; its last lines may explain a death

    def start(self) -> None:
        """Have a warm child ready; InfrastructureError if it does not come up."""
        self._warm_connection()

    def close(self) -> None:
        """Kill the child and everything that it has started."""
        if self._connection is not None:
            self._connection.close()
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)  # only wait() below sets its id free
            self._child.wait()
        if self._log is not None:
            self._log.close()
        self._child = self._connection = self._log = None

    def export(
        self, snapshot: FieldSnapshot, prompt: Prompt, profile: ExportProfile, metadata: Mapping[str, object]
    ) -> Exported:
        """The files of an asset, or the failure of a stage, of time, of memory or of the child itself.

        InfrastructureError if no child can be started, or this machine has no room to work in.
        """
        request, left_s = (snapshot, prompt, profile, dict(metadata)), self._limit_s
        for number in range(1, MAX_TRIES + 1):
            connection, started_s = self._warm_connection(), time.monotonic()
            spent_s = self._cpu_s()
            try:
                result = self._try(connection, request, started_s + left_s)
                total_s = self._cpu_s()
                return Exported(result, number, None if spent_s is None or total_s is None else total_s - spent_s)
            except _ChildDied as death:
                log_event(
                    LOG, "export_child_died", logging.WARNING, tries=number, max_tries=MAX_TRIES, cause=str(death)
                )
                last, left_s = death, left_s - (time.monotonic() - started_s)

        error = ExportOutOfMemory if last.is_shortage else ExportDied
        message = f"{last}, the last of {MAX_TRIES} tries; {REMEDY}"
        return Exported(Failure(error.failure_class, message), MAX_TRIES)

    def _try(self, connection: Connection, request: tuple[object, ...], end_s: float) -> AssetBundle | Failure:
        """_ChildDied if the child ends without a result."""
        stage, since_s = "start", time.monotonic()
        try:
            connection.send(request)
            while connection.poll(max(0.0, end_s - time.monotonic())):
                value = connection.recv()
                _log_end(stage, time.monotonic() - since_s, value)
                if isinstance(value, AssetBundle):
                    return value
                if isinstance(value, Failure):
                    self.close()  # nobody knows in which state it is
                    return value
                if isinstance(value, Fault):
                    self.close()
                    raise InfrastructureError(value.message)
                stage, since_s = value, time.monotonic()
        except (EOFError, OSError):
            raise self._death(stage) from None

        self.close()
        log_event(LOG, "export_timeout", logging.WARNING, stage=stage, seconds=time.monotonic() - since_s)
        message = f"stage {stage}: killed when the export had taken export_limit_s = {self._limit_s:g} s; {REMEDY}"
        return Failure(ExportTimeout.failure_class, message)

    def _warm_connection(self) -> Connection:
        """The connection to a child that has its imports and waits; a new child if need be."""
        if self._connection is not None and not self._connection.poll():  # a hang-up could be read
            return self._connection

        self.close()
        started_s = time.monotonic()
        with machine_faults():
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the child
        self._connection, theirs = Pipe()
        with theirs:
            self._child = subprocess.Popen(
                [
                    *(sys.executable, "-m", "dreamfoundry.run.workers.export_process"),
                    *map(str, (os.getpid(), theirs.fileno(), self._memory_limit_bytes)),
                ],
                pass_fds=[theirs.fileno()],
                process_group=0,
                env={**package_environment(), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )

        # the child imports the module of the stages when it receives them
        try:
            self._connection.send(self._stages)
            if self._connection.poll(START_LIMIT_S):
                self._connection.recv()
                log_event(LOG, "export_child_started", seconds=time.monotonic() - started_s)
                return self._connection
            cause = f"not ready after {START_LIMIT_S:g} s"
        except (EOFError, OSError):
            cause = str(self._death("start"))

        self.close()
        raise InfrastructureError(f"the process of the exports does not come up: {cause}")

    def _cpu_s(self) -> float | None:
        return None if self._child is None else cpu_s(self._child.pid)

    def _death(self, stage: str) -> _ChildDied:
        """The end of a child that has hung up, with its last lines of output."""
        child, log = self._child, self._log
        assert child is not None
        assert log is not None
        log.seek(max(0, log.seek(0, os.SEEK_END) - 4000))
        words = log.read().decode(errors="replace").strip().splitlines()[-3:]

        self.close()
        status = child.returncode
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        is_shortage = status == -signal.SIGKILL or any("std::bad_alloc" in line for line in words)
        return _ChildDied(f"stage {stage}: {how}" + "".join(f" / {line.strip()}" for line in words), is_shortage)


def _log_end(stage: str, seconds: float, value: object) -> None:
    """Log the end of a stage: `value` is its failure, or the name of the next one, or the bundle."""
    if isinstance(value, Failure | Fault):
        failure_class = value.failure_class if isinstance(value, Failure) else None
        log_event(
            LOG,
            "export_stage_failed",
            logging.WARNING,
            stage=stage,
            seconds=seconds,
            failure_class=failure_class,
            cause=value.message,
        )
    else:
        log_event(LOG, "export_stage_ended", stage=stage, seconds=seconds)


class _ChildDied(Exception):
    """The child ended without a result.

    `is_shortage`: for lack of memory, its own or the machine's; the kernel then sends SIGKILL.
    """

    def __init__(self, message: str, is_shortage: bool) -> None:
        super().__init__(message)
        self.is_shortage = is_shortage


def _main() -> None:
    parent, descriptor, memory_limit_bytes = map(int, sys.argv[1:])
    die_with(parent)

    # private memory rather than address space: Node reserves far more than it uses.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_limit_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    connection = Connection(descriptor)
    os.dup(descriptor)  # open to the very end: when the worker reads a hang-up, the exit status stands
    stages: Stages = connection.recv()  # brings their imports
    connection.send("ready")
    with suppress(EOFError):  # the worker has hung up
        while True:
            connection.send(_result(stages, connection, *connection.recv()))


def _result(
    stages: Stages,
    connection: Connection,
    snapshot: FieldSnapshot,
    prompt: Prompt,
    profile: ExportProfile,
    metadata: Mapping[str, object],
) -> AssetBundle | Failure | Fault:
    """Run the stages; an unforeseen error ends the child with a traceback, which the worker reads."""
    stage = "start"

    def on_stage(name: str) -> None:
        nonlocal stage
        stage = name
        connection.send(name)

    try:
        with machine_faults():
            return stages(snapshot, prompt, profile=profile, metadata=metadata, on_stage=on_stage)
    except PromptFailure as failure:
        return Failure.of(failure)
    except MemoryError as error:
        limit_bytes = resource.getrlimit(resource.RLIMIT_DATA)[0]
        message = f"stage {stage}: more memory than the {limit_bytes / 2**30:.3g} GiB of an export ({error}); {REMEDY}"
        return Failure(ExportOutOfMemory.failure_class, message)
    except MachineFault as error:
        return Fault(f"stage {stage}: {error}")


if __name__ == "__main__":
    _main()
