"""Workers that raise or are slow, as actors of a real Ray with nothing in them but that."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from support import stub_build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

Build = Callable[[str, str, str], subprocess.Popen[bytes]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file that runs print to."""
    return tmp_path / "output.log"


@pytest.fixture
def build(ray_cluster: Any, log: Path) -> Build:
    """Starts support.stub_build on the shared Ray with a manifest, a library and a manner of working."""
    address = ray_cluster.get_runtime_context().gcs_address

    def build(manifest: str, library: str, manner: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "support.stub_build", manifest, library, manner]
        variables = {**os.environ, "RAY_ADDRESS": address}
        with open(log, "wb") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, env=variables)

    return build


def test_22_a_prompt_that_raises_is_quarantined_once_with_the_end_of_its_traceback(
    build: Build, write_manifest: Callable[..., str], tmp_path: Path, log: Path
) -> None:
    names = ["good", "bad", "fine"]
    manifest = write_manifest(prompt_id=names, prompt=["a red chair", f"a blue {stub_build.POISON}", "a green chair"])
    library = str(tmp_path / "library")

    with build(manifest, library, "raising") as run:
        assert run.wait(timeout=150) == 3, log.read_text()
    outcomes = {outcome.prompt_id: outcome for outcome in Library(open_store(library)).outcomes()}
    assert {outcomes[name].state for name in ("good", "fine")} == {"published"}
    assert {outcomes[name].tries for name in ("good", "fine")} == {1}
    bad = outcomes["bad"]
    assert (bad.state, bad.failure_class, bad.tries) == ("quarantined", "worker_died", 3)
    assert "ValueError: nobody thought of this" in bad.message


def test_32_while_exports_are_slow_the_distillers_wait(
    build: Build, write_manifest: Callable[..., str], tmp_path: Path, log: Path
) -> None:
    num_rows = 80
    names = [f"row-{number}" for number in range(num_rows)]
    manifest = write_manifest(prompt_id=names, prompt=["a red chair"] * num_rows, seed=list(range(num_rows)))
    store = open_store(tmp_path / "library")
    queue_lengths = []

    with build(manifest, str(tmp_path / "library"), "slow") as run:
        while run.poll() is None:
            num_decided = len(list(store.list("outcomes/")))  # first, so that the queue is never counted too short
            queue_lengths.append(len(list(store.list("fields/"))) - num_decided)
            time.sleep(0.02)
        assert run.returncode == 0, log.read_text()

    slots = stub_build.NUM_DISTILLERS * stub_build.NUM_SLOTS
    assert slots <= max(queue_lengths) <= slots + 2, "one filling of all slots, and what the exporter has before it"
