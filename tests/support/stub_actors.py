"""Ray actors that do little: answer at once, raise or wait.

Imported when the environment of Ray is set, as `run.ray.workers` is.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import ray

from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.messages import (
    Died,
    Export,
    ExportReport,
    FinishedField,
    Placed,
    Ready,
    RunSlice,
    SliceReport,
    WorkerKind,
    WorkerSettings,
)
from dreamfoundry.run.ray.workers import RayWorkers
from dreamfoundry.run.workers.export_process import ExportProcess
from dreamfoundry.run.workers.exporter import Exporter
from support.stub_build import POISON
from support.stubs import InstantStages, snapshot


class StubDistillActor:
    """Stores the same field for every task, in the slice that brings it."""

    def setup(self, settings: WorkerSettings) -> Ready | Died:
        self._library = Library(open_store(settings.library_url))
        return Ready()

    def run_slice(self, command: RunSlice) -> SliceReport:
        ref = self._library.put_blob(snapshot().to_bytes(), "application/x-npz")
        finished = [
            FinishedField(task.field_key, 0.0, self._library.record_field(task.field_key, ref)) for task in command.add
        ]
        return SliceReport({}, tuple(finished), num_steps=len(finished))

    def hand_back(self) -> SliceReport:
        return SliceReport({}, (), 0)

    @ray.method(concurrency_group="control")
    def place(self) -> Placed:
        return Placed(ray.get_runtime_context().get_node_id())

    @ray.method(concurrency_group="control")
    def pid(self) -> int:
        return os.getpid()


class StubExportActor:
    """The real exporter with `InstantStages`."""

    def setup(self, settings: WorkerSettings) -> Ready:
        library = Library(open_store(settings.library_url))
        self._exporter = Exporter(library, settings, cast(ExportProcess, InstantStages()))
        return Ready()

    def export(self, command: Export) -> ExportReport:
        return self._exporter.export(command.task)

    @ray.method(concurrency_group="control")
    def place(self) -> Placed:
        return Placed(ray.get_runtime_context().get_node_id())

    @ray.method(concurrency_group="control")
    def pid(self) -> int:
        return os.getpid()


class RaisingDistillActor(StubDistillActor):
    """Raises what nobody foresaw when a poison comes."""

    def run_slice(self, command: RunSlice) -> SliceReport:
        for task in command.add:
            if POISON in task.prompt.text:
                raise ValueError("nobody thought of this")
        return super().run_slice(command)


class SlowExportActor(StubExportActor):
    """Takes half a second for what the distiller does at once."""

    def export(self, command: Export) -> ExportReport:
        time.sleep(0.5)
        return super().export(command)


class BrokenCardActor(StubDistillActor):
    """On the node where the first of them starts, the card is gone."""

    def setup(self, settings: WorkerSettings) -> Ready | Died:
        here, broken = ray.get_runtime_context().get_node_id(), Path(f"{settings.library_url}.broken_node")
        with suppress(FileExistsError), broken.open("x") as file:
            file.write(here)
        if broken.read_text() in ("", here):  # empty while it is being written, which then happens here
            return Died("DeviceUnavailable: there is no card", "device")
        return super().setup(settings)


WORKERS: dict[str, dict[WorkerKind, type]] = {
    "instant": {"distiller": StubDistillActor, "exporter": StubExportActor},
    "raising": {"distiller": RaisingDistillActor, "exporter": StubExportActor},
    "broken_card": {"distiller": BrokenCardActor, "exporter": StubExportActor},
    "slow": {"distiller": StubDistillActor, "exporter": SlowExportActor},
}


def stub_workers(settings: WorkerSettings, run_id: str, manner: str) -> RayWorkers:
    return RayWorkers(settings, run_id, WORKERS[manner])
