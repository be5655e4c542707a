"""Stages 2 and 3 in one process: the prior is loaded once, K slots are kept busy in short slices.

The one file of the cluster that imports torch; the driver never does.
"""

from __future__ import annotations

import time
import traceback
from collections import deque

import torch

from dreamfoundry.candidates import planned_steps
from dreamfoundry.cluster.messages import (
    Failure,
    Fault,
    FieldTask,
    FinishedField,
    RunSlice,
    SliceReport,
    WorkerSettings,
)
from dreamfoundry.config import Recipe
from dreamfoundry.diffusion.prior import ScorePrior, load_prior
from dreamfoundry.errors import InfrastructureError, PromptFailure
from dreamfoundry.optimize import Assignment, OptimizedField, SlotBatch
from dreamfoundry.store.locate import open_store
from dreamfoundry.store.outcomes import Library

SNAPSHOT_MEDIA_TYPE = "application/x-npz"


def open_optimizer(settings: WorkerSettings) -> Optimizer:
    """Load the prior and open the library; InputError or InfrastructureError if that fails."""
    torch.set_num_threads(settings.num_threads)
    library = Library(open_store(settings.library_url))
    return Optimizer(load_prior(settings.prior, device=settings.device), library, settings.device)


class Optimizer:
    """Turns field tasks into snapshots in the library, a slice at a time.

    Every task that was added is, at the end of each slice, either in `steps_left` or in `finished` of
    the report. A snapshot that could not be stored is kept and stored in a later slice.
    """

    def __init__(self, prior: ScorePrior, library: Library, device: str = "cpu") -> None:
        self._prior, self._library, self._device = prior, library, device
        self._batch: SlotBatch | None = None
        self._tasks: deque[FieldTask] = deque()
        self._unsaved: list[OptimizedField] = []
        self._finished: list[FinishedField] = []
        self._num_steps = 0

    def run_slice(self, command: RunSlice) -> SliceReport:
        """Optimise for about `max_s` seconds, less if a slot becomes free before. Never raises."""
        self._tasks.extend(command.add)
        self._finished, self._num_steps = [], 0
        fault: Fault | None = None
        try:
            self._save_finished()
            batch = self._batch_for(command.recipe, command.num_slots)
            self._admit(batch)
            self._optimize(batch, command.max_s)
        except InfrastructureError as error:
            fault = Fault(f"{type(error).__name__}: {error}")
        except Exception:  # noqa: BLE001 an exception object of a library may not be readable elsewhere
            fault = Fault(traceback.format_exc(limit=-4), crashed=True)
        return SliceReport(self._steps_left(command.recipe), tuple(self._finished), self._num_steps, fault)

    def _batch_for(self, recipe: Recipe, num_slots: int) -> SlotBatch:
        """The batch as it runs, or a new one when recipe or number of slots have changed."""
        batch = self._batch
        if batch is None or (batch.recipe, len(batch.slots)) != (recipe, num_slots):
            if batch is not None and batch.num_live:
                raise RuntimeError("the recipe of an optimizer changes only when its slots are empty")
            self._batch = None  # lets the memory of the old one go first
            self._batch = batch = SlotBatch(self._prior, recipe, num_slots, self._device)
        return batch

    def _admit(self, batch: SlotBatch) -> None:
        while self._tasks and batch.num_free:
            task = self._tasks[0]
            try:
                batch.admit(Assignment(task.prompt, task.field_key))
            except PromptFailure as failure:
                self._finished.append(FinishedField(task.field_key, 0.0, failure=Failure.of(failure)))
            self._tasks.popleft()
        if self._tasks:
            raise RuntimeError(f"{len(self._tasks)} fields more than the {len(batch.slots)} slots can take")

    def _optimize(self, batch: SlotBatch, max_s: float) -> None:
        end_s = time.monotonic() + max_s
        while batch.num_live and not self._finished:
            self._num_steps += batch.num_live
            batch.step()
            self._unsaved += batch.harvest()
            self._save_finished()
            if time.monotonic() >= end_s:
                return

    def _save_finished(self) -> None:
        while self._unsaved:
            done = self._unsaved[0]
            ref = None
            if done.snapshot is not None:
                ref = self._library.put_blob(done.snapshot.to_bytes(), SNAPSHOT_MEDIA_TYPE)
                ref = self._library.record_field(done.assignment.field_key, ref)
            failure = None if done.failure is None else Failure.of(done.failure)
            self._finished.append(FinishedField(done.assignment.field_key, done.optimize_s, ref, failure, done.history))
            del self._unsaved[0]

    def _steps_left(self, recipe: Recipe) -> dict[str, int]:
        """Steps left of each field that is not finished, from the task that waits to the unsaved one."""
        slots = self._batch.slots if self._batch is not None else []
        waiting = planned_steps(recipe.looks, recipe.optimize.num_steps)
        left = {task.field_key: waiting for task in self._tasks}
        left |= {slot.assignment.field_key: slot.steps_left for slot in slots if slot is not None}
        left |= {done.assignment.field_key: 0 for done in self._unsaved}
        return left
