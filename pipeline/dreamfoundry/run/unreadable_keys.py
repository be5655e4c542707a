"""Objects of a library that a process could not read: each is told once, and costs what it says."""

from __future__ import annotations

import logging
import threading

from dreamfoundry.errors import InfrastructureError
from dreamfoundry.host.log_events import log_event
from dreamfoundry.library.record_json import Unreadable

LOG = logging.getLogger(__name__)

MOST_UNREADABLE = 1_000
"""A process goes on beside so many. More of them are the store's trouble: nobody wants a catalog without them."""


class UnreadableKeys:
    """Collects what an `OnUnreadable` is told; safe to be called from several threads.

    Each object becomes a log event at once, and a note for the operator.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._notes: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, key: str, error: Unreadable) -> None:
        """Take note of `key`; InfrastructureError once there are too many."""
        with self._lock:
            if key in self._known:
                return
            self._known.add(key)
            self._notes.append(f"unreadable: {error}")

        log_event(LOG, "object_unreadable", logging.WARNING, key=key, cause=str(error))
        if len(self._known) > MOST_UNREADABLE:
            raise InfrastructureError(
                f"more than {MOST_UNREADABLE:,} objects of the library cannot be read, the last one: {error}; "
                "see what has become of the store, and of the rights to read there"
            )

    def take_notes(self, limit: int = MOST_UNREADABLE) -> tuple[str, ...]:
        """Notes since the last call; of more than `limit` the first, and the number of the others."""
        with self._lock:
            notes, self._notes = tuple(self._notes), []
        if len(notes) <= limit:
            return notes
        return (*notes[:limit], f"unreadable: {len(notes) - limit:,} more; `dreamfoundry verify` names all")
