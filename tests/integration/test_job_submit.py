"""`ray job submit` through jobs/submit.py on a local head: the documented status comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run import report
from dreamfoundry.run.report import RunReport
from support.ports import free_ports, wait_for_port
from support.private_ray import short_folder
from support.processes import JOBS, run_job, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STUB_BUILD = ("-m", "support.stub_build")


@pytest.fixture(scope="module")
def head(environment: pytest.MonkeyPatch, s3_url: str) -> Iterator[str]:
    """The dashboard of `ray start --head --block` with its own ports and folder; ended by pid."""
    gcs, dashboard, metrics, client, agent = free_ports(5)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where a job finds its python
    with short_folder() as folder:
        command = [
            *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats"),
            *(f"--port={gcs}", f"--dashboard-port={dashboard}", f"--metrics-export-port={metrics}"),
            *(f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"),
            *("--num-cpus=4", f"--temp-dir={folder}", "--object-store-memory=104857600"),
        ]

        process = subprocess.Popen(
            command,
            env={**os.environ, "PATH": path, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        try:
            wait_for_port(dashboard, process)
            wait_until(
                lambda: answers(f"http://127.0.0.1:{dashboard}/api/version"), "the head answers", timeout_s=300.0
            )
            yield f"http://127.0.0.1:{dashboard}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def submit(head: str, *command: str, timeout_s: float = 280.0) -> subprocess.CompletedProcess[str]:
    return run_job("submit.py", "--address", head, "--", "python", *command, timeout_s=timeout_s)


def test_38_a_run_submitted_as_a_job_publishes_its_rows_and_returns_0(
    head: str, write_manifest: Callable[..., str], ball_recipe_file: Callable[[int], str], tmp_path: Path
) -> None:
    library = tmp_path / "library"
    done = submit(
        head,
        str(JOBS / "build_library.py"),
        write_manifest(prompt_id=["one"], prompt=["a ball"]),
        str(library),
        "--recipe",
        ball_recipe_file(4),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 published, 0 skipped, 0 quarantined" in done.stdout
    store = Library(open_store(library)).store
    (key,) = [key for key in store.list("runs/") if key.endswith("report.json")]
    assert report.from_json(RunReport, store.get(key)).status == "complete"


@pytest.mark.timeout(1500)
def test_06_a_thousand_rows_are_each_published_once_and_a_second_run_is_over_before_ray_would_have_started(
    head: str, s3_url: str, write_manifest: Callable[..., str]
) -> None:
    num_rows, library = 1000, f"{s3_url}/thousand"
    names = [f"row-{number}" for number in range(num_rows)]
    manifest = write_manifest(prompt_id=names, prompt=["a red chair"] * num_rows, seed=list(range(num_rows)))

    # The server of these tests answers one request at a time: minutes, more of them on a busy machine.
    done = submit(head, *STUB_BUILD, manifest, library, timeout_s=1200.0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{num_rows} published, 0 skipped, 0 pending" in done.stdout
    outcomes = list(Library(open_store(library)).outcomes())
    assert sorted(outcome.prompt_id for outcome in outcomes) == sorted(names)
    assert {outcome.state for outcome in outcomes} == {"published"}

    began_s = time.monotonic()
    again = subprocess.run(
        [sys.executable, *STUB_BUILD, manifest, library],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_ADDRESS": "nowhere:1"},
    )
    assert again.returncode == 0, again.stderr
    assert f"0 published, {num_rows} skipped, 0 pending" in again.stdout
    assert time.monotonic() - began_s < 10.0


def test_38_the_true_exit_code_of_a_refused_manifest_comes_back(
    head: str, write_manifest: Callable[..., str], tmp_path: Path
) -> None:
    manifest = write_manifest(prompt_id=["one"], prompt=["a dragon"])
    done = submit(head, str(JOBS / "build_library.py"), manifest, str(tmp_path / "library"))
    assert done.returncode == 4, done.stdout + done.stderr
    assert "'dragon'" in done.stdout


def test_a_head_that_does_not_answer_is_named(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    done = submit(f"http://127.0.0.1:{port}", "-c", "pass")
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
