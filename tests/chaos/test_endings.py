"""The end of a run: exit code, report and status say the same, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.exit_codes import EXIT_CODES
from support.processes import MARK, run_job, wait_until, wait_until_gone
from support.runs import Start, reports, running_driver, steps_saved

NUM_STEPS = 300

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def status(library: Path) -> str:
    done = run_job("status.py", str(library))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("overrides", "word"),
    [(['{"optimize.num_steps": 2}'] * 2, "complete"), (['{"gates.min_mean_opacity": 0.99}', None], "partial")],
)
def test_38_exit_code_report_and_status_agree_when_a_run_ends_by_itself(
    start: Start,
    write_manifest: Callable[..., str],
    tmp_path: Path,
    overrides: list[str | None],
    word: str,
) -> None:
    manifest = write_manifest(prompt_id=["one", "two"], prompt=["a ball", "a ball two"], recipe_overrides=overrides)
    library = tmp_path / "library"
    driver = start(manifest, library, 4)
    output, _ = driver.communicate(timeout=200)

    (report,) = reports(open_store(library))
    assert (report.status, report.exit_code) == (word, driver.returncode), output
    assert f"last run {report.run_id}: {word} (exit {driver.returncode})" in status(library)
    assert report.published + report.quarantined == 2
    assert report.pending == 0


def test_38_a_driver_that_was_killed_leaves_no_report_and_the_status_says_so(
    start: Start, write_manifest: Callable[..., str], tmp_path: Path
) -> None:
    manifest = write_manifest(prompt_id=["one"], prompt=["a ball"])
    library = tmp_path / "library"
    driver = start(manifest, library, NUM_STEPS)
    store = open_store(library)
    wait_until(lambda: any(store.list("leases/")), "a prompt is in a slot")
    driver.kill()
    driver.communicate()

    assert driver.returncode == -signal.SIGKILL
    assert reports(store) == []
    assert "with 1 assets to build" in status(library)
    assert "No report yet" in status(library)


def test_30_weights_that_cannot_be_loaded_end_a_run_soon_with_their_cause(
    start: Start, tiny_deepfloyd_folder: Path, write_manifest: Callable[..., str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_deepfloyd_folder, broken)
    weights = next((broken / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1000])
    manifest = write_manifest(prompt_id=["one"], prompt=["a ball"])
    library = tmp_path / "library"
    began_s = time.monotonic()
    driver = start(manifest, library, 4, "--set", f"prior.path={broken}")
    output, _ = driver.communicate(timeout=200)

    assert driver.returncode == EXIT_CODES["failed"], output
    assert "PriorUnavailable" in output
    assert str(broken) in output
    assert time.monotonic() - began_s < 150.0, "three set-ups, no more"
    (report,) = reports(open_store(library))
    assert (report.status, report.pending) == ("failed", 1)
    assert not list(open_store(library).list("outcomes/")), "broken weights are nobody's failure"


@pytest.mark.parametrize("is_stopped", [False, True])
def test_35_after_the_exit_no_process_lease_checkpoint_or_temporary_file_is_left(
    environment: pytest.MonkeyPatch,
    ball_recipe_file: Callable[[int], str],
    write_manifest: Callable[..., str],
    tmp_path: Path,
    is_stopped: bool,
) -> None:
    manifest = write_manifest(prompt_id=["one", "two"], prompt=["a ball", "a ball two"])
    library, mark = tmp_path / "library", f"{os.getpid()}-{is_stopped}"
    temporary = Path(f"/tmp/df-{mark}")  # short: Ray's sockets lie below
    temporary.mkdir()
    store = open_store(library)
    variables = {"TMPDIR": str(temporary), MARK: mark}
    with running_driver(manifest, library, ball_recipe_file(NUM_STEPS), **variables) as driver:
        wait_until(lambda: steps_saved(store) > 0, "the first checkpoint")
        if is_stopped:
            driver.terminate()
        output, _ = driver.communicate(timeout=200)
    assert driver.returncode == EXIT_CODES["drained" if is_stopped else "complete"], output

    wait_until_gone(mark, timeout_s=20.0)
    assert [path.name for path in temporary.iterdir()] == []
    temporary.rmdir()
    held = [key for key in store.list("leases/") if b'"owner":""' not in store.get(key)]
    assert held == []
    assert bool(list(store.list("checkpoints/"))) == is_stopped
    assert not list((library / ".staging").glob("[!.]*"))
