"""Whole runs in this process within a second: all is real but the steps of the distiller and the child of exports."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry.asset.export import export_asset
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.records import AssetBundle, FieldSnapshot, Prompt
from dreamfoundry.run.build import build_library
from dreamfoundry.run.messages import (
    Answer,
    Export,
    FinishedField,
    Ready,
    RunSlice,
    SliceReport,
    WorkerKind,
    WorkerSettings,
)
from dreamfoundry.run.report import RunReport
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.workers.checkpoint_writer import CheckpointWriter
from dreamfoundry.run.workers.export_process import Exported, ExportProcess
from dreamfoundry.run.workers.exporter import Exporter
from dreamfoundry.settings.export_profiles import ExportProfile, export_profile
from dreamfoundry.settings.loading import bundled_recipe
from support.stubs import snapshot

VALIDATION = json.dumps({"schema": "validation.v1", "gates": {"khronos": "passed"}}).encode()


class DistinctFiles(ExportProcess):
    """The child process of an exporter, without a process; each asset gets files of its own."""

    def export(
        self, snapshot: FieldSnapshot, prompt: Prompt, profile: ExportProfile, metadata: Mapping[str, object]
    ) -> Exported:
        files = {
            "a.glb": f"{prompt.text} for {profile.name}, {snapshot.bound:.3f}".encode(),
            "asset.json": json.dumps({"metadata": metadata}).encode(),
            "validation.json": VALIDATION,
        }
        return Exported(AssetBundle("a", files, (), {"triangles": 1.0}, {}), tries=1)


class TinyWorkers:
    """The driver's `Workers`, here and at once: a field is stored in the slice that brings it."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._library = Library(open_store(settings.library_url))
        self._checkpoints = CheckpointWriter(Checkpoints(self._library.store), float("inf"))
        self._exporter = Exporter(self._library, settings, DistinctFiles(export_asset))
        self._answers: list[Answer] = []
        self.num_optimized = 0

    def start(self, worker: str, kind: WorkerKind) -> None:
        self._answers.append(Answer(worker, Ready()))

    def run_slice(self, command: RunSlice) -> None:
        finished = []
        for task in command.add:
            self._checkpoints.newest(task)
            field = replace(snapshot(), bound=float(np.float32(int(task.field_key[:4], 16) / 2**16 + 1.0)))
            ref = self._library.put_blob(field.to_bytes(), "application/x-npz")
            ref = self._library.record_field(task.field_key, ref, task.lost_snapshot)
            finished.append(FinishedField(task.field_key, 0.0, ref))
            self.num_optimized += 1
        _, notes = self._checkpoints.take_news()
        self._answers.append(Answer(command.worker, SliceReport({}, tuple(finished), len(finished), notes=notes)))

    def drain(self, node: str) -> None:
        raise AssertionError(f"there are no nodes here: {node}")

    def hand_back(self, worker: str) -> None:
        self._answers.append(Answer(worker, SliceReport({}, (), 0)))

    def export(self, command: Export) -> None:
        self._answers.append(Answer(command.worker, self._exporter.export(command.task)))

    def leaving(self) -> Collection[str]:
        return ()

    def kill(self, worker: str) -> None:
        self._answers = [answer for answer in self._answers if answer.worker != worker]

    def wait(self, timeout_s: float) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Night:
    """The end of a run: its report, what it told the operator, and its log events as text."""

    report: RunReport
    told: str
    log: str
    num_optimized: int


def night(
    folder: Path,
    prompts: Mapping[str, str],
    profile: str = "preview",
    *,
    workers: type[TinyWorkers] = TinyWorkers,
    should_stop: Callable[[], bool] = lambda: False,
    **columns: Any,
) -> Night:
    """Build `prompts` (texts by prompt id) into the library `folder / "library"`; raises what the run raises."""
    rows = {"prompt_id": [*prompts], "prompt": [*prompts.values()], **columns}
    pq.write_table(pa.table(rows), folder / "manifest.parquet")
    log, told = folder / "log.jsonl", io.StringIO()
    log.unlink(missing_ok=True)
    request = RunRequest(
        str(folder / "manifest.parquet"),
        str(folder / "library"),
        bundled_recipe("toybox"),
        export_profile(profile),
        num_distill_workers=1,
        num_export_workers=1,
        num_slots=4,
        use_ray=False,
        quarantine_bad_rows=True,
        log_file=str(log),
    )
    opened: list[TinyWorkers] = []

    def open_workers(settings: WorkerSettings, run_id: str) -> TinyWorkers:
        opened.append(workers(settings))
        return opened[-1]

    report = build_library(request, told, should_stop, open_workers).report
    num_optimized = sum(workers.num_optimized for workers in opened)
    return Night(report, told.getvalue(), log.read_text() if log.exists() else "", num_optimized)
