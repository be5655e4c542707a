"""A run that is asked to stop before its first worker has started."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.processes import wait_until
from support.runs import running_driver

NUM_ROWS = 150_000
LOGGED = {"DREAMFOUNDRY_LOG_EVENTS": "on"}
PATIENCE_S = 10.0
"""Far more than the two seconds that are promised, because other tests may have the processor; it was 83 s once."""


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    path = tmp_path / "night.parquet"
    columns = {
        "prompt_id": [f"row-{number}" for number in range(NUM_ROWS)],
        "prompt": ["a red ball"] * NUM_ROWS,
        "seed": list(range(NUM_ROWS)),
    }
    pq.write_table(pa.table(columns), path, row_group_size=2000)
    return str(path)


def is_copied(folder: Path) -> bool:
    return any(folder.glob("df-manifest-*/night.parquet"))


def is_planning(folder: Path) -> bool:
    log = folder / "events.jsonl"
    return log.exists() and "run_started" in log.read_text()


@pytest.mark.parametrize(("stage", "number"), [(is_copied, signal.SIGTERM), (is_planning, signal.SIGINT)])
def test_a_signal_ends_scan_and_plan_at_once_with_75(
    manifest: str, tmp_path: Path, ball_recipe_file: Callable[[int], str], stage: Callable[[Path], bool], number: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    library, log = tmp_path / "library", temporary / "events.jsonl"
    more = ("--log-file", str(log))

    with running_driver(manifest, library, ball_recipe_file(1), *more, TMPDIR=str(temporary), **LOGGED) as driver:
        wait_until(lambda: stage(temporary), "the stage is reached")
        driver.send_signal(number)
        signalled_s = time.monotonic()
        output, _ = driver.communicate(timeout=60)

    assert time.monotonic() - signalled_s < PATIENCE_S
    assert driver.returncode == 75, output
    assert "Traceback" not in output
    assert "again" in output
    assert not any(temporary.glob("df-manifest-*")), "nothing is left behind"
    if stage is is_planning:
        (report,) = (json.loads(path.read_text()) for path in library.glob("runs/*/report.json"))
        assert (report["word"], report["pending"]) == ("drained", NUM_ROWS)
    else:
        assert not library.exists(), "nothing was written"
