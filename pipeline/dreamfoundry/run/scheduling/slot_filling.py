"""Fields for the free slots of a distiller."""

from __future__ import annotations

from dreamfoundry.run.scheduling.backlog import Backlog
from dreamfoundry.run.scheduling.completion import Completions
from dreamfoundry.run.scheduling.field_job import FieldJob
from dreamfoundry.run.scheduling.worker_pool import Worker, WorkerPool

UNEXPORTED_PER_EXPORTER = 2
"""Builds that may wait for an export, for each exporter; with more, slots stay empty."""


class SlotFiller:
    """Claims fields and puts them into slots.

    All slots of a distiller share one shape class, which changes only when they are empty. Suspects
    come last, each alone.
    """

    def __init__(self, backlog: Backlog, pool: WorkerPool, completions: Completions) -> None:
        self._backlog, self._pool, self._completions = backlog, pool, completions
        self._max_unexported = UNEXPORTED_PER_EXPORTER * len(pool.of("exporter"))

    def refill(self, worker: Worker) -> list[FieldJob]:
        """Fill free slots; an empty distiller may change its shape class, or take one suspect alone."""
        queue = self._backlog.queue
        if self._num_unexported() >= self._max_unexported:
            return []
        if worker.fields:
            return self._fill(worker)

        # a class may hold nothing for us: other runs own its fields, or have decided them
        while (shape := queue.best_shape(worker.shape_class)) is not None:
            worker.reshape(shape, self._pool.num_slots_for(shape))
            if added := self._fill(worker):
                return added

        # alone, a suspect that kills its worker is proven guilty
        while (suspect := queue.pop_suspect()) is not None:
            if self._completions.claim(suspect):
                worker.reshape(suspect.shape_class, 1)
                worker.admit(suspect)
                return [suspect]
        return []

    def _fill(self, worker: Worker) -> list[FieldJob]:
        """Fill the slots of `worker`, but leave to others with room what would make them even.

        Only the last rows of a run are too few for all: side by side in one distiller they would
        take longer than spread out.
        """
        if not worker.has_room:
            return []

        most = min(worker.num_slots, self._pool.even_share(len(self._backlog.queue)))
        added: list[FieldJob] = []
        while len(worker.fields) < most and (job := self._backlog.queue.pop(worker.shape_class)) is not None:
            if self._completions.claim(job):
                worker.admit(job)
                added.append(job)
        return added

    def _num_unexported(self) -> int:
        exporting = [worker.build for worker in self._pool if worker.build is not None]
        return self._backlog.num_unexported + sum(build.snapshot is None for build in exporting)
