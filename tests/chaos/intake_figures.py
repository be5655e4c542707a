"""Seconds and memory of a dry run over large and hostile manifests, and of a stop while a run plans.

    python tests/chaos/intake_figures.py [NUM_ROWS_OF_A_STOPPED_RUN]

Each line is the median of three processes, with nothing else on the machine: seconds of the whole process, its largest
resident memory, its exit code. A stopped run is told SIGTERM after 2, 4 and 8 seconds and timed until its end. The rows
of the table are Markdown, for docs/LOG.md.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

COLORS = ("red", "blue", "green", "yellow")
REPEATS = 3
PROMPT = "a red mushroom"


def varied_rows(path: Path, num_rows: int = 100_000) -> None:
    columns = {
        "prompt_id": [f"row-{number}" for number in range(num_rows)],
        "prompt": [f"a {COLORS[number % 4]} mushroom" for number in range(num_rows)],
        "seed": list(range(num_rows)),
    }
    pq.write_table(pa.table(columns), path, row_group_size=2000)


def one_long_text(path: Path) -> None:
    prompts = pa.array(["a" * (1 << 30)], pa.large_string())
    pq.write_table(pa.table({"prompt_id": ["a"], "prompt": prompts}), path, compression="zstd")


def one_text_for_many_rows(path: Path) -> None:
    texts = pa.array(["x" * (16 << 20)], pa.large_string())
    prompts = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), texts)
    ids = [f"row-{number}" for number in range(2000)]
    pq.write_table(pa.table({"prompt_id": ids, "prompt": prompts}), path, compression="zstd")


def many_tags(path: Path) -> None:
    tags = pa.ListArray.from_arrays(pa.array([0, 5_000_000], pa.int32()), pa.array(["t"] * 5_000_000))
    pq.write_table(pa.table({"prompt_id": ["a"], "prompt": [PROMPT], "tags": tags}), path, compression="zstd")


def equal_rows(path: Path) -> None:
    num_rows = 3_000_000
    table = pa.table({"prompt_id": pa.array(["a"] * num_rows), "prompt": pa.array([PROMPT] * num_rows)})
    pq.write_table(table, path, compression="zstd")


MANIFESTS: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("100,000 rows", varied_rows),
    ("one prompt of 1 GiB", one_long_text),
    ("2,000 rows that share a prompt of 16 MiB", one_text_for_many_rows),
    ("5 million tags in a row", many_tags),
    ("3 million equal rows", equal_rows),
)


def dry_run(manifest: Path) -> tuple[float, float, int]:
    """Seconds, MiB and exit code of a dry run in a process of its own."""
    line = ["build", str(manifest), str(manifest.parent / "library"), "--dry-run", "--asset-s", "30"]
    started_s = time.monotonic()
    child = subprocess.Popen(_dreamfoundry(line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    return time.monotonic() - started_s, used.ru_maxrss / 1024.0, os.waitstatus_to_exitcode(status)


def stop_after(manifest: Path, wait_s: float) -> tuple[float, int]:
    """Seconds from SIGTERM to the end of a run, and its exit code."""
    with tempfile.TemporaryDirectory() as library:
        line = _dreamfoundry(["build", str(manifest), library])
        child = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait_s)
        started_s = time.monotonic()
        child.send_signal(signal.SIGTERM)
        code = child.wait(timeout=300)
        return time.monotonic() - started_s, code


def _dreamfoundry(line: list[str]) -> list[str]:
    return [sys.executable, "-m", "dreamfoundry", *line]


def _write(make: Callable[[Path], None], manifest: Path) -> None:
    """A manifest, made by a child: a process begins with the largest resident memory of the one it was forked from."""
    child = multiprocessing.get_context("spawn").Process(target=make, args=(manifest,))
    child.start()
    child.join()


def main(num_stopped_rows: int) -> None:
    print("| dry run of | file, bytes | s | MiB | exit code |\n|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.parquet"
        for title, make in MANIFESTS:
            _write(make, manifest)
            runs = [dry_run(manifest) for _ in range(REPEATS)]
            seconds, mib = (statistics.median(run[k] for run in runs) for k in (0, 1))
            codes = sorted({run[2] for run in runs})
            print(f"| {title} | {manifest.stat().st_size:,} | {seconds:.1f} | {mib:.0f} | {codes} |", flush=True)

        varied_rows(manifest, num_stopped_rows)
        print(f"\n| SIGTERM to a run of {num_stopped_rows:,} rows | ends after, s | exit code |\n|---|--:|--:|")
        for wait_s in (2.0, 4.0, 8.0):
            stopped_s, code = stop_after(manifest, wait_s)
            print(f"| {wait_s:g} s after its start | {stopped_s:.2f} | {code} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 300_000)
