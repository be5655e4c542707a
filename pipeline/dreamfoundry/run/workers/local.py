"""Distillers and exporters in this process, one call at a time: for debugging, without Ray.

The files of an export are made in a child process here too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

from dreamfoundry.errors import DreamfoundryError
from dreamfoundry.host.log_events import log_context
from dreamfoundry.run.messages import (
    Answer,
    Died,
    Export,
    ExportReport,
    Ready,
    RunSlice,
    SliceReport,
    WorkerKind,
    WorkerSettings,
)
from dreamfoundry.run.workers.distiller import Distiller, open_distiller
from dreamfoundry.run.workers.exporter import Exporter, open_exporter


class LocalWorkers:
    """Implements the driver's `Workers`; every call runs inside `wait`."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._distillers: dict[str, Distiller] = {}
        self._exporters: dict[str, Exporter] = {}
        self._calls: deque[tuple[str, Callable[[], Ready | Died | SliceReport | ExportReport]]] = deque()

    def start(self, worker: str, kind: WorkerKind) -> None:
        self._calls.append((worker, lambda: self._open(worker, kind)))

    def run_slice(self, command: RunSlice) -> None:
        self._calls.append((command.worker, lambda: self._distillers[command.worker].run_slice(command)))

    def hand_back(self, worker: str) -> None:
        self._calls.append((worker, lambda: self._distillers[worker].hand_back()))

    def leaving(self) -> Collection[str]:
        return ()

    def export(self, command: Export) -> None:
        self._calls.append((command.worker, lambda: self._exporters[command.worker].export(command.task)))

    def kill(self, worker: str) -> None:
        self._distillers.pop(worker, None)
        exporter = self._exporters.pop(worker, None)
        if exporter is not None:
            exporter.close()
        self._calls = deque((name, call) for name, call in self._calls if name != worker)

    def wait(self, timeout_s: float) -> list[Answer]:
        if not self._calls:
            return []
        worker, call = self._calls.popleft()
        with log_context(worker=worker):
            return [Answer(worker, call())]

    def drain(self, node: str) -> None:
        """This process has no node."""

    def close(self) -> None:
        for worker in [*self._distillers, *self._exporters]:
            self.kill(worker)

    def _open(self, worker: str, kind: WorkerKind) -> Ready | Died:
        try:
            if kind == "distiller":
                self._distillers[worker] = distiller = open_distiller(self._settings)
                return distiller.ready()
            self._exporters[worker] = open_exporter(self._settings)
            return Ready()
        except DreamfoundryError as error:
            return Died(f"{type(error).__name__}: {error}")
