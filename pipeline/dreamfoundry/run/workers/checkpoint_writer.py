"""Checkpoints of the fields in a distiller: due dates, writes beside the step thread, reads."""

from __future__ import annotations

import contextvars
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from dreamfoundry.distill.checkpoint import Checkpoint
from dreamfoundry.errors import InfrastructureError, ObjectCorrupt, ObjectMissing
from dreamfoundry.host.log_events import log_event
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.run.messages import FieldTask

LOG = logging.getLogger(__name__)

MAX_OVERHEAD = 0.02
"""Share of the time that may go into taking checkpoints; the interval grows where they are slow."""


class CheckpointWriter:
    """Keeps the checkpoints of fields up to date; at most one write of a field is under way.

    A checkpoint that cannot be written costs work after the next death, not now: it is noted, and
    tried again when the next one is due.
    """

    def __init__(
        self, checkpoints: Checkpoints, interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._checkpoints, self._interval_s, self._clock = checkpoints, interval_s, clock
        self._saved_s: dict[str, float] = {}
        self._writing: dict[str, Future[None]] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-writer")
        self._saved: list[str] = []
        self._notes: list[str] = []

    def newest(self, task: FieldTask) -> Checkpoint | None:
        """The newest checkpoint of a field that can be read; those that cannot are noted."""
        self._saved_s[task.field_key] = self._clock()
        for name in self._checkpoints.names(task.field_key):
            try:
                checkpoint = Checkpoint.from_bytes(self._checkpoints.read(name), task.field_key)
                log_event(LOG, "checkpoint_restored", field_key=task.field_key, step=checkpoint.num_steps)
                return checkpoint
            except ObjectMissing:
                continue  # its owner has written two newer ones meanwhile
            except ObjectCorrupt as error:
                cause = str(error) if name in str(error) else f"{name}: {error}"
                log_event(LOG, "checkpoint_corrupt", logging.WARNING, field_key=task.field_key, cause=cause)
                self._notes.append(cause)
        return None

    def is_due(self, field_key: str) -> bool:
        """True if the last checkpoint of a field is old enough and no write is under way."""
        writing = self._writing.get(field_key)
        return self._clock() - self._saved_s[field_key] >= self._interval_s and (writing is None or writing.done())

    def save(self, task: FieldTask, take: Callable[[], Checkpoint | None]) -> None:
        """Take a checkpoint now, write it on the other thread."""
        began_s = self._clock()
        checkpoint = take()
        self._saved_s[task.field_key] = self._clock()
        self._interval_s = max(self._interval_s, (self._clock() - began_s) / MAX_OVERHEAD)
        if checkpoint is not None:
            write = contextvars.copy_context().run  # log events of the other thread keep the fields of this one
            self._writing[task.field_key] = self._writer.submit(write, self._write, task, checkpoint)

    def finish(self, field_key: str) -> None:
        """Wait until nothing of a field is being written any more."""
        writing = self._writing.pop(field_key, None)
        if writing is not None:
            writing.result()
        self._saved_s.pop(field_key, None)

    def take_news(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Fields that were saved, and notes for the operator, since the last call."""
        saved, self._saved = tuple(self._saved), []
        notes, self._notes = tuple(self._notes), []
        return saved, notes

    def _write(self, task: FieldTask, checkpoint: Checkpoint) -> None:
        key, num_steps, began_s = task.field_key, checkpoint.num_steps, time.monotonic()
        try:
            data = checkpoint.to_bytes()
            self._checkpoints.save(key, task.epoch, num_steps, data)
            self._saved.append(key)
            log_event(
                LOG,
                "checkpoint_saved",
                field_key=key,
                step=num_steps,
                num_bytes=len(data),
                seconds=time.monotonic() - began_s,
            )
        except InfrastructureError as error:
            log_event(LOG, "checkpoint_failed", logging.WARNING, field_key=key, step=num_steps, cause=str(error))
            self._notes.append(f"checkpoint of {key} after {num_steps} steps: {error}")
