"""Seconds from the start of a run to the first work of a distill worker, with a store that takes its time.

    python tests/chaos/first_step.py NUM_ROWS [DELAY_MS]

The driver is the real one without Ray (whose start comes on top), and the library a bucket on moto behind a proxy that
lets every request wait DELAY_MS (default 40). The worker only notes the time; the run is stopped then. Prints one line
of JSON: seconds of the scan, of the plan, to the first slice and to the end of the stopped run, and requests.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).parents[1]))

from dreamfoundry.host.log_events import SWITCH
from dreamfoundry.run.build import build_library
from dreamfoundry.run.messages import Answer, Export, Ready, RunSlice, SliceReport, WorkerKind
from dreamfoundry.run.request import RunRequest
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import resolve_recipe
from support.fault_proxy import FaultProxy

COLORS = ("red", "blue", "green", "yellow")


class FirstSlice:
    """Implements the driver's `Workers`: notes when the first fields arrive, and hands all of them back."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self._answers: list[Answer] = []

    def start(self, worker: str, kind: WorkerKind) -> None:
        self._answers.append(Answer(worker, Ready()))

    def run_slice(self, command: RunSlice) -> None:
        self.at_s = self.at_s or time.monotonic()
        returned = {task.field_key: 1 for task in command.add}
        self._answers.append(Answer(command.worker, SliceReport({}, (), 0, returned=returned)))

    def hand_back(self, worker: str) -> None:
        self._answers.append(Answer(worker, SliceReport({}, (), 0)))

    def export(self, command: Export) -> None:
        raise AssertionError("nothing was optimised")

    def drain(self, node: str) -> None:
        """There are no nodes here."""

    def leaving(self) -> list[str]:
        return []

    def kill(self, worker: str) -> None:
        """There is no process."""

    def wait(self, timeout_s: float) -> list[Answer]:
        answers, self._answers = self._answers, []
        if not answers:
            time.sleep(min(timeout_s, 0.05))
        return answers

    def close(self) -> None:
        """There is no process."""


def measure(num_rows: int, delay_s: float, folder: Path) -> dict[str, float]:
    manifest = folder / "manifest.parquet"
    columns = {
        "prompt_id": [f"row-{number}" for number in range(num_rows)],
        "prompt": [f"a {COLORS[number % 4]} mushroom" for number in range(num_rows)],
        "seed": list(range(num_rows)),
    }
    pq.write_table(pa.table(columns), manifest, row_group_size=2000)

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with FaultProxy(f"http://127.0.0.1:{port}", delay_s) as proxy:
        os.environ |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ["AWS_ENDPOINT_URL_S3"] = proxy.url
        boto3.client("s3").create_bucket(Bucket="shelf")
        workers = FirstSlice()
        request = RunRequest(
            str(manifest),
            "s3://shelf",
            resolve_recipe("toybox", []),
            export_profile("preview"),
            use_ray=False,
            num_slots=4,
        )
        started_s = time.monotonic()
        result = build_library(request, io.StringIO(), lambda: workers.at_s > 0.0, lambda settings, run_id: workers)
        ended_s = time.monotonic()
    server.stop()

    return {
        "num_rows": num_rows,
        "scan_s": round(result.report.timings_s["scan"], 2),
        "plan_s": round(result.report.timings_s["plan"], 2),
        "first_slice_s": round(workers.at_s - started_s, 2),
        "stopped_s": round(ended_s - workers.at_s, 2),
        "num_requests": len(proxy.requests),
    }


if __name__ == "__main__":
    os.environ[SWITCH] = "off"
    with tempfile.TemporaryDirectory() as folder:
        delay_ms = float(sys.argv[2]) if sys.argv[2:] else 40.0
        print(json.dumps(measure(int(sys.argv[1]), delay_ms / 1000.0, Path(folder))))
