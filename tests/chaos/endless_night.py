"""A night of many rows with workers that do nothing, to see what the driver itself needs.

    python tests/chaos/endless_night.py NUM_ROWS FOLDER

Manifest, plan, scheduler, loop and projections are the real ones; workers answer at once, with an
outcome as big as a real one that is not synced, no blobs and no named views, and leases are not kept.
Prints one line of JSON: `peak_mib` of this process, `rows_per_s` of planning, `tasks_per_s` of
dispatching (a task is one field optimised or one asset exported; this includes the writing of
outcomes), `outcomes_per_s` of publishing the projections. FOLDER takes 4 KB for each row.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections import deque
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry.identity import recipe_digest
from dreamfoundry.library.library import Library, outcome_key, outcome_to_json
from dreamfoundry.library.projections import publish_projections
from dreamfoundry.manifest.reader import read_prompts, scan
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import BlobRef, Outcome
from dreamfoundry.run.driver import drive
from dreamfoundry.run.messages import (
    Answer,
    Build,
    Decision,
    Export,
    ExportReport,
    FinishedField,
    Quarantine,
    Ready,
    RunSlice,
    SliceReport,
    WorkerKind,
)
from dreamfoundry.run.planning.plan import Plan
from dreamfoundry.run.planning.resolution import PlanInputs
from dreamfoundry.run.scheduling.field_job import Claim
from dreamfoundry.run.scheduling.ports import SchedulerConfig, SchedulerPorts
from dreamfoundry.run.scheduling.scheduler import Scheduler
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

BLOB = BlobRef("0" * 64, 1, "application/octet-stream")
PRIOR = PriorIdentity("stub", "1", "0" * 64, "Apache-2.0")
ROWS_PER_GROUP = 2000
RUN_ID = "20250101T000000Z-abcdef"


class NightStore(DirectoryStore):
    """A directory in which named views count as written: a million folders would show nothing more."""

    def exists(self, key: str) -> bool:
        return key.startswith("assets/") or super().exists(key)


def outcome_of(build: Build) -> Outcome:
    """As much as is known of a real asset."""
    scores = {f"score_{number}": int(build.asset_key[number : number + 8], 16) / 2**32 for number in range(14)}
    names = ("a_toy.glb", "a_toy_collision.glb", "asset.json", "thumbnail.png", "turntable.webp", "validation.json")
    digests = {name: hashlib.sha256(f"{build.asset_key} {name}".encode()).hexdigest() for name in names}

    return Outcome(
        asset_key=build.asset_key,
        field_key=build.field_key,
        prompt_id=build.prompt.prompt_id,
        prompt=build.prompt.text,
        state="published",
        slug="a_toy",
        files={name: BlobRef(digest, 12_345, "application/octet-stream") for name, digest in digests.items()},
        snapshot=BLOB,
        scores=scores,
        provenance={
            "run_id": RUN_ID,
            "created_at": "2025-01-01T00:00:00Z",
            "optimize_s": 1.5,
            "export_s": 2.5,
            "steps_spent": 200,
            "step_budget": 500,
            "candidates": [{"candidate": 0, "num_steps": 200, "verdict": "chosen", "scores": scores}],
        },
    )


class InstantWorkers:
    """Implements the driver's `Workers`: everything succeeds as soon as it is asked for."""

    def __init__(self, library: Path) -> None:
        self._library = library
        self._answers: deque[Answer] = deque()
        self.num_tasks = 0

    def start(self, worker: str, kind: WorkerKind) -> None:
        self._answers.append(Answer(worker, Ready()))

    def run_slice(self, command: RunSlice) -> None:
        finished = tuple(FinishedField(task.field_key, 1.0, BLOB) for task in command.add)
        self.num_tasks += len(finished)
        self._answers.append(Answer(command.worker, SliceReport({}, finished, len(finished))))

    def export(self, command: Export) -> None:
        self.num_tasks += 1
        outcome = outcome_of(command.task.build)
        path = self._library / outcome_key(outcome.asset_key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(outcome_to_json(outcome))
        self._answers.append(Answer(command.worker, ExportReport(outcome.asset_key, Decision("published"))))

    def hand_back(self, worker: str) -> None:
        raise AssertionError("nobody stops this run")

    def drain(self, node: str) -> None:
        """There are no nodes here."""

    def leaving(self) -> Collection[str]:
        return ()

    def kill(self, worker: str) -> None:
        raise AssertionError("nothing fails here")

    def wait(self, timeout_s: float) -> list[Answer]:
        answers, self._answers = list(self._answers), deque()
        return answers

    def close(self) -> None:
        pass


class FreeClaims:
    """Implements the scheduler's `Claims` for the only run there is."""

    def claim(self, field_key: str) -> Claim | None:
        return Claim(0, 1)

    def lost(self) -> Collection[str]:
        return ()

    def charge(self, field_key: str, deaths: int) -> None:
        raise AssertionError("nobody dies here")

    def forget(self, field_key: str) -> None:
        pass

    def standing(self, asset_key: str) -> Decision | None:
        return None


def write_manifest(path: Path, num_rows: int) -> None:
    schema = pa.schema([("prompt_id", pa.string()), ("prompt", pa.string())])
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for start in range(0, num_rows, ROWS_PER_GROUP):
            numbers = range(start, min(num_rows, start + ROWS_PER_GROUP))
            columns = {"prompt_id": [f"row-{n}" for n in numbers], "prompt": [f"a toy number {n}" for n in numbers]}
            writer.write_table(pa.table(columns, schema=schema))


def main() -> None:
    num_rows, folder = int(sys.argv[1]), Path(sys.argv[2])
    manifest = folder / "manifest.parquet"
    write_manifest(manifest, num_rows)
    library = Library(NightStore(folder / "library"))
    began_s = time.monotonic()
    found = scan(manifest)
    plan = Plan(
        read_prompts(manifest, found.skip_rows),
        library,
        PlanInputs(Recipe(), export_profile("preview"), PRIOR),
    )
    planned_s = time.monotonic()

    def take_note(build: Build, decision: Decision) -> None:
        plan.decide(build.asset_key, decision.state, "", is_ours=True)

    def quarantine(command: Quarantine) -> Decision:
        raise AssertionError("nothing fails here")

    workers = InstantWorkers(folder / "library")
    config = SchedulerConfig(num_builds=plan.num_builds, num_distill_workers=8, num_export_workers=16, num_slots=16)
    ports = SchedulerPorts(FreeClaims(), time.monotonic, recipe_digest, take_note)
    scheduler = Scheduler(plan.builds(), config, ports)
    drive(
        scheduler,
        workers,
        quarantine=quarantine,
        on_status=lambda status: None,
        on_note=print,
        should_stop=lambda: False,
    )
    driven_s = time.monotonic()
    publish_projections(library, RUN_ID, plan.rows())
    assert plan.tally().published == num_rows
    figures = {
        "num_rows": num_rows,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows_per_s": num_rows / (planned_s - began_s),
        "tasks_per_s": workers.num_tasks / (driven_s - planned_s),
        "outcomes_per_s": num_rows / (time.monotonic() - driven_s),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
