"""Helpers of the chaos tests: drivers as processes or beside the test, and looking at a library from outside."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.run import report
from dreamfoundry.run.build import build_library
from dreamfoundry.run.report import RunReport
from dreamfoundry.run.request import RunRequest, RunResult
from support.processes import JOBS

IMPATIENT = ("--actors", "1", "--limit", "lease_s=3", "--limit", "slice_s=0.3", "--limit", "checkpoint_s=0.3")
"""One distiller, and limits with which everything happens within seconds."""

Start = Callable[..., subprocess.Popen[str]]
"""The fixture `start` of conftest.py: `start(manifest, library, num_steps, *more)`."""


@contextmanager
def running_driver(
    manifest: str, library: Path | str, recipe: str, *more: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """jobs/build_library.py as a process of its own, which ends with the block at the latest.

    `variables` are added to its environment: RAY_ADDRESS for a Ray that is there, or it starts its own.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    process = subprocess.Popen(
        [sys.executable, str(JOBS / "build_library.py"), manifest, str(library), "--recipe", recipe, *IMPATIENT, *more],
        env={**inherited, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def running_build(request: RunRequest) -> Iterator[Future[RunResult]]:
    """A run on another thread of this process; where the block ends before it does, it is asked to stop."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(build_library, request, io.StringIO(), stop.is_set)
        finally:
            stop.set()


def checkpoints(store: ObjectStore) -> dict[str, tuple[int, int]]:
    """(epoch, steps) of the newest checkpoint of each field."""
    newest: dict[str, tuple[int, int]] = {}
    for name in store.list("checkpoints/"):
        _, _, field_key, file = name.split("/")
        epoch, steps, _ = file.split("-")
        newest[field_key] = max(newest.get(field_key, (0, 0)), (int(epoch), int(steps)))
    return newest


def steps_saved(store: ObjectStore) -> int:
    """Steps of the furthest checkpoint, 0 without one."""
    return max((steps for _, steps in checkpoints(store).values()), default=0)


def reports(store: ObjectStore) -> list[RunReport]:
    """Of all runs, in no special order."""
    return [report.from_json(RunReport, store.get(key)) for key in store.list("runs/") if key.endswith("/report.json")]
