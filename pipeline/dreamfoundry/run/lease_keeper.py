"""The leases of one run: held around each field, renewed on a thread of their own.

A lease keeps two runs from spending their time on the same field. It protects nothing: the
conditional create of the outcome does. A lost lease ends the work on its field.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from types import TracebackType

from dreamfoundry.errors import InfrastructureError, LeaseLost
from dreamfoundry.host.log_events import log_event
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.leases import Lease, Leases
from dreamfoundry.library.library import Library
from dreamfoundry.library.record_json import OnUnreadable, refuse
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.messages import Decision
from dreamfoundry.run.outcomes import decision_of, standing_outcome
from dreamfoundry.run.scheduling.field_job import Claim

LOG = logging.getLogger(__name__)


class LeaseKeeper:
    """Implements the scheduler's `Claims` on the leases of a library.

    A context manager: leases that are still held at the end are released with their counters.
    `owner` is the id of the run; after `ttl_s` without renewal a lease is free for others.
    Calls of the driver wait up to `store_s` for a store that is away; renewals are tried again at
    the next turn. All requests go through clients of its own, one at a time, so a slow request
    elsewhere never delays a renewal.
    """

    def __init__(
        self,
        library_url: str,
        owner: str,
        ttl_s: float,
        store_s: float = 120.0,
        on_unreadable: OnUnreadable = refuse,
    ) -> None:
        store = open_store(library_url, retry_timeout_s=store_s)
        self._library, self._checkpoints = Library(store, on_unreadable), Checkpoints(store)
        self._leases = Leases(store, on_unreadable=on_unreadable)
        self._renewed = Leases(open_store(library_url, retry_timeout_s=ttl_s / 3.0))
        self._owner, self._ttl_s = owner, ttl_s
        self._held: dict[str, Lease] = {}
        self._lost: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._renewal = threading.Thread(target=self._renew_until_ended, name="lease-renewal", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._renewal.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewal.join(timeout=self._ttl_s)
        with self._lock:
            held, self._held = self._held, {}
        for lease in held.values():
            try:
                self._renewed.release(lease)
            except InfrastructureError:
                return  # the store is away: the leases end by themselves

    def claim(self, field_key: str) -> Claim | None:
        """Make a field ours; None while a live run elsewhere owns it."""
        with self._lock:
            lease = self._leases.acquire(field_key, self._owner, self._ttl_s)
            if lease is None:
                return None
            self._held[field_key] = lease
            log_event(LOG, "lease_claimed", field_key=field_key, epoch=lease.epoch, deaths=lease.deaths)
            return Claim(lease.deaths, lease.epoch)

    def lost(self) -> Collection[str]:
        """Fields that another run has taken over since the last call."""
        with self._lock:
            lost, self._lost = self._lost, set()
        return lost

    def charge(self, field_key: str, deaths: int) -> None:
        """Record the charged deaths in the lease."""
        self._renew(self._leases, field_key, deaths)

    def forget(self, field_key: str) -> None:
        """The field is decided: remove its checkpoints and its lease with all counters, if it is still ours."""
        with self._lock:
            if self._held.pop(field_key, None) is not None:
                self._checkpoints.forget(field_key)
                self._leases.forget(field_key)

    def standing(self, asset_key: str) -> Decision | None:
        """The decision of the outcome that exists now, if there is one."""
        outcome = standing_outcome(self._library, asset_key)
        return None if outcome is None else decision_of(outcome, self._owner)

    def _renew(self, leases: Leases, field_key: str, deaths: int | None = None) -> None:
        with self._lock:
            lease = self._held.get(field_key)
            if lease is None:
                return
            try:
                self._held[field_key] = leases.renew(lease, self._ttl_s, deaths=deaths)
            except LeaseLost:
                del self._held[field_key]
                self._lost.add(field_key)

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self._ttl_s / 3.0):
            for field_key in list(self._held):
                try:
                    self._renew(self._renewed, field_key)
                except InfrastructureError as error:
                    log_event(LOG, "lease_renewal_failed", logging.WARNING, run_id=self._owner, cause=str(error))
                    break  # the store is away: try again at the next turn
