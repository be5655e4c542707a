"""What the chaos tests share: waiting, looking at a library from outside, and drivers as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dreamfoundry.library import report
from dreamfoundry.library.report import RunReport
from dreamfoundry.store import ObjectStore

JOB = Path(__file__).parents[2] / "jobs" / "build_library.py"

IMPATIENT = ("--limit", "lease_s=3", "--limit", "slice_s=0.3", "--limit", "checkpoint_s=0.3")
"""Limits of a run in which everything happens within seconds."""


def wait_until(happens: Callable[[], Any], what: str, timeout_s: float = 120.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not happens():
        if time.monotonic() > end_s:
            raise TimeoutError(f"never: {what}")
        time.sleep(0.02)


def actor_pid(ray: Any, name: str) -> int | None:
    """The process of the actor whose name ends in "{worker}/{incarnation}", None if it is not there."""
    found = [entry for entry in ray.util.list_named_actors(all_namespaces=True) if entry["name"].endswith(name)]
    if not found:
        return None
    actor = ray.get_actor(found[0]["name"], namespace=found[0]["namespace"])
    try:
        return int(ray.get(actor.pid.remote(), timeout=60))
    except ray.exceptions.RayError:
        return None


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


def start_driver(address: str, manifest: str, library: Path | str, recipe: str, *more: str) -> subprocess.Popen[str]:
    """jobs/build_library.py as a process of its own on the Ray at `address`."""
    return subprocess.Popen(
        [sys.executable, str(JOB), manifest, str(library), "--recipe", recipe, *IMPATIENT, *more],
        env={**os.environ, "RAY_ADDRESS": address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
