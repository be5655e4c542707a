"""Stages 2 and 3 in one process: the prior is loaded once, K slots are kept busy in short slices.

Loaded in the processes of distill workers only: it brings torch, which the driver does without.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections import deque
from collections.abc import Callable

import torch

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.diffusion.weights_cache import fetch_weights, weights_cache
from dreamfoundry.distill.device import try_device
from dreamfoundry.distill.device_memory import is_out_of_memory, release_memory
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.preflight import adapt, examine
from dreamfoundry.distill.slot import Assignment, OptimizedField, Slot
from dreamfoundry.distill.successive_halving import planned_steps
from dreamfoundry.errors import DeviceUnavailable, GpuOutOfMemory, InfrastructureError, PromptFailure
from dreamfoundry.host.log_events import log_event
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.library import Library
from dreamfoundry.nerf.kernels.availability import kernels_in_words
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.messages import (
    Failure,
    Fault,
    FieldTask,
    FinishedField,
    Ready,
    RunSlice,
    SliceReport,
    SlotsFit,
    WorkerSettings,
)
from dreamfoundry.run.workers.checkpoint_writer import CheckpointWriter
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.recipe import Recipe

LOG = logging.getLogger(__name__)

SNAPSHOT_MEDIA_TYPE = "application/x-npz"


def open_distiller(settings: WorkerSettings) -> Distiller:
    """Load the prior, from S3 where it lies there, and open the library; InputError or InfrastructureError."""
    torch.set_num_threads(settings.num_threads)
    library = Library(open_store(settings.library_url, retry_timeout_s=settings.store_s, check_s=settings.store_s))
    started_s = time.monotonic()
    prior = load_resident_prior(settings.prior, settings.device, settings.prior_engine)
    log_event(LOG, "prior_loaded", stage="setup", seconds=time.monotonic() - started_s)
    adapt(prior, text_encoder_on_host=settings.text_encoder_on_host, vae_rows=settings.vae_rows)
    return Distiller(prior, library, settings.device, checkpoint_s=settings.checkpoint_s)


def load_resident_prior(config: PriorConfig, device: str, engine: PriorEngine) -> DiffusersPrior:
    """The prior on `device`, fetched where it lies on S3. PriorUnavailable says why it cannot be used there.

    The device is tried first, so that one that is gone costs seconds: DeviceUnavailable, as where it is too full.
    """
    try_device(device)
    fetched = fetch_weights(config, weights_cache())
    try:
        return load_prior(fetched, device=device, engine=engine)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceUnavailable(f"{fetched.path} does not fit into what is free on {device!r}: {error}") from None


def slots_that_fit(settings: WorkerSettings, recipe: Recipe, most_slots: int, num_slots: int = 0) -> SlotsFit:
    """The best number of slots for a worker with these settings, or `num_slots`, tried out on its device."""
    torch.set_num_threads(settings.num_threads)
    prior = load_resident_prior(settings.prior, settings.device, settings.prior_engine)
    fit = examine(prior, recipe, settings.device, most_slots=most_slots, num_slots=num_slots)
    return SlotsFit(fit.best.num_slots, fit.text_encoder_on_host, fit.best.vae_rows)


class Distiller:
    """Turns field tasks into snapshots in the library, a slice at a time.

    Every task that was added is, at the end of each slice, either in `steps_left`, `finished` or
    `returned` of the report. A snapshot that could not be stored is kept and stored in a later slice.
    """

    def __init__(
        self, prior: ScorePrior, library: Library, device: str = "cpu", *, checkpoint_s: float = float("inf")
    ) -> None:
        self._prior, self._library, self._device = prior, library, device
        self._kernels = kernels_in_words(torch.device(device))
        self._batch: SlotBatch | None = None
        self._tasks: dict[str, FieldTask] = {}  # of this distiller, by field key
        self._waiting: deque[FieldTask] = deque()
        self._resumed_from: dict[str, int] = {}  # steps of the checkpoint, by field key
        self._unsaved: list[OptimizedField] = []
        self._checkpoints = CheckpointWriter(Checkpoints(library.store), checkpoint_s)
        self._finished: list[FinishedField] = []
        self._returned: dict[str, int] = {}
        self._num_steps = 0
        self._planned_steps = 0

    def ready(self) -> Ready:
        """The answer of set-up; a GPU without kernels is worth a note."""
        is_slow = torch.device(self._device).type == "cuda" and self._kernels.startswith("none")
        note = f"kernels on {self._device}: {self._kernels}; plain torch code serves, slower and with more memory"
        return Ready(self._kernels, (note,) if is_slow else ())

    def run_slice(self, command: RunSlice) -> SliceReport:
        """Optimise for about `max_s` seconds, less if a slot becomes free before. Never raises."""
        self._tasks |= {task.field_key: task for task in command.add}
        self._planned_steps = planned_steps(command.recipe.probes, command.recipe.optimize.num_steps)
        self._waiting.extend(command.add)
        return self._answer(lambda: self._run(command))

    def hand_back(self) -> SliceReport:
        """Write a checkpoint of every field, and empty the slots. Never raises."""
        return self._answer(self._empty)

    def _answer(self, execute: Callable[[], None]) -> SliceReport:
        self._finished, self._num_steps, self._returned = [], 0, {}
        fault: Fault | None = None
        shortage = ""
        try:
            self._save_finished()  # first those that a slice before could not store
            execute()
        except InfrastructureError as error:
            fault = Fault(f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 an exception object of a library may not be readable elsewhere
            if is_out_of_memory(error):
                shortage = str(error)
            else:
                fault = Fault(traceback.format_exc(limit=-4), crashed=True)

        # only here is the traceback gone, and with it what the failed step held on the GPU
        if shortage:
            fault = self._make_room(shortage)

        for key in (*self._returned, *(field.field_key for field in self._finished)):
            del self._tasks[key]
            self._resumed_from.pop(key, None)

        return SliceReport(
            self._steps_left(),
            tuple(self._finished),
            self._num_steps,
            fault,
            self._returned,
            *self._checkpoints.take_news(),
        )

    def _run(self, command: RunSlice) -> None:
        batch = self._batch_for(command.recipe, command.num_slots)
        self._admit(batch)
        self._optimize(batch, command.max_s)
        for index, slot in enumerate(batch.slots):
            if slot is not None and self._checkpoints.is_due(slot.assignment.field_key):
                self._checkpoint(batch, index, slot)

    def _empty(self, *, save: bool = True) -> None:
        left = self._steps_left()
        batch = self._batch
        for index, slot in enumerate(batch.slots if batch is not None else []):
            if batch is None or slot is None:
                continue
            key = slot.assignment.field_key
            self._checkpoints.finish(key)
            if save:
                self._checkpoint(batch, index, slot)
            batch.evict(index)
            self._returned[key] = left[key]
        self._returned |= {task.field_key: left[task.field_key] for task in self._waiting}
        self._waiting.clear()
        for key in self._returned:
            self._checkpoints.finish(key)

    def _make_room(self, shortage: str) -> Fault | None:
        """Empty the slots and free what they took; a field that was alone on the GPU does not fit at all.

        The step that failed may have moved a part of the parameters: nothing is saved of it.
        """
        num_slots = len(self._batch.slots) if self._batch is not None else 0
        is_alone = num_slots == 1
        log_event(LOG, "gpu_memory_short", logging.WARNING, num_slots=num_slots, cause=shortage)
        self._empty(save=False)
        self._batch = None
        release_memory(self._prior)
        message = f"the memory of the GPU is too small: {shortage}"
        if not is_alone:
            return Fault(message, out_of_memory=True)
        failure = Failure.of(GpuOutOfMemory(f"{message}; a smaller render.image_px or field would fit"))
        self._finished += [FinishedField(key, 0.0, failure=failure) for key in self._returned]
        self._returned = {}
        return None

    def _checkpoint(self, batch: SlotBatch, index: int, slot: Slot) -> None:
        self._checkpoints.save(self._tasks[slot.assignment.field_key], lambda: batch.checkpoint(index))

    def _batch_for(self, recipe: Recipe, num_slots: int) -> SlotBatch:
        """The batch as it runs, or a new one when recipe or number of slots have changed."""
        batch = self._batch
        if batch is None or (batch.recipe, len(batch.slots)) != (recipe, num_slots):
            if batch is not None and batch.num_live:
                raise RuntimeError("the recipe of a distiller changes only when its slots are empty")
            self._batch = None  # frees the memory of the old one first
            self._batch = batch = SlotBatch(self._prior, recipe, num_slots, self._device)
        return batch

    def _admit(self, batch: SlotBatch) -> None:
        while self._waiting and batch.num_free:
            task = self._waiting[0]
            try:
                checkpoint = self._checkpoints.newest(task)
                self._resumed_from[task.field_key] = checkpoint.num_steps if checkpoint is not None else 0
                batch.admit(Assignment(task.prompt, task.field_key), checkpoint)
            except PromptFailure as failure:
                self._finished.append(FinishedField(task.field_key, 0.0, failure=Failure.of(failure)))
            self._waiting.popleft()
        if self._waiting:
            raise RuntimeError(f"{len(self._waiting)} fields more than the {len(batch.slots)} slots can take")

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
            key = done.assignment.field_key
            self._checkpoints.finish(key)
            ref = None
            if done.snapshot is not None:
                ref = self._library.put_blob(done.snapshot.to_bytes(), SNAPSHOT_MEDIA_TYPE)
                ref = self._library.record_field(key, ref, self._tasks[key].lost_snapshot)

            failure = None if done.failure is None else Failure.of(done.failure)
            resumed_from = self._resumed_from.pop(key)
            self._finished.append(
                FinishedField(key, done.optimize_s, ref, failure, done.history, resumed_from, self._kernels)
            )
            log_event(
                LOG,
                "distillation_ended",
                stage="distill",
                field_key=key,
                seconds=done.optimize_s,
                steps=done.history.steps_spent,
                candidates=len(done.history.candidates),
                failure_class=failure.failure_class if failure else None,
            )
            del self._unsaved[0]

    def _steps_left(self) -> dict[str, int]:
        """Steps left of each field that is not finished, from the task that waits to the unsaved one."""
        slots = self._batch.slots if self._batch is not None else []
        left = dict.fromkeys((task.field_key for task in self._waiting), self._planned_steps)
        left |= {slot.assignment.field_key: slot.steps_left for slot in slots if slot is not None}
        left |= {done.assignment.field_key: 0 for done in self._unsaved}
        return left
