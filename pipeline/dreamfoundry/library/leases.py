"""Leases: who works on which key until when, and how often the work has died.

A lease saves work, it does not protect it: safety comes from the conditional create of the
outcome. It is taken with If-None-Match, taken over after its end with If-Match and the next
epoch, and its counters stay when the owner goes. One that cannot be read is free, and its counters are lost.
Nothing renews by itself here: the caller does, well within the time to live (a third of it is usual).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dreamfoundry.errors import LeaseLost, ObjectCorrupt, ObjectMissing
from dreamfoundry.library.record_json import OnUnreadable, Unreadable, from_json, to_json
from dreamfoundry.object_store.protocol import JSON, ObjectStore

LEASES = "leases/"
"""Where they lie."""

LEASE_SCHEMA = "lease.v1"

LONGEST_TTL_S = 7200.0
"""Nobody asks for more. A lease that claims more was written by a clock that was ahead, and would block its field for
as long as it was: it is free."""


@dataclass(frozen=True)
class LeaseRecord:
    """The stored lease of `key`. `owner` is "" and `expires_at_s` 0 while nobody works on it.

    `deaths` counts the workers that died on this key alone. `epoch` grows with every acquisition, so an old owner can
    be told from a new one. `candidate` is always 0: a key of lease.v1 that older versions of the program insist on.
    """

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"deaths": "attempts"}

    key: str
    owner: str
    epoch: int
    deaths: int
    candidate: int = field(init=False, default=0)
    expires_at_s: float


@dataclass(frozen=True)
class Lease(LeaseRecord):
    """A record together with the etag that lets its owner change it."""

    etag: str

    @property
    def record(self) -> LeaseRecord:
        return LeaseRecord(self.key, self.owner, self.epoch, self.deaths, self.expires_at_s)


def lease_from_json(data: bytes) -> LeaseRecord:
    """The record in `data`; ObjectCorrupt."""
    return from_json(LeaseRecord, LEASE_SCHEMA, data)


def _take_no_note(key: str, error: Unreadable) -> None:
    """Nothing is lost with a lease but its counters."""


class Leases:
    """The leases of a library. `clock` gives Unix seconds, by default those of the store.

    `on_unreadable` is told of leases that were taken because they cannot be read.
    """

    def __init__(
        self,
        store: ObjectStore,
        clock: Callable[[], float] | None = None,
        on_unreadable: OnUnreadable = _take_no_note,
    ) -> None:
        self._store, self._on_unreadable = store, on_unreadable
        self._clock = clock if clock is not None else store.now_s

    def read(self, key: str) -> Lease | None:
        """The lease of `key` as it stands, None where nobody ever worked on it; ObjectCorrupt."""
        try:
            data, etag = self._store.read(lease_key(key))
        except ObjectMissing:
            return None
        record = lease_from_json(data)
        if record.key != key:
            raise ObjectCorrupt(f"is about {record.key}")
        return Lease(record.key, record.owner, record.epoch, record.deaths, record.expires_at_s, etag)

    def acquire(self, key: str, owner: str, ttl_s: float) -> Lease | None:
        """Take `key` for `ttl_s` seconds; None while somebody else holds it.

        `ttl_s` is at most LONGEST_TTL_S. `owner` must be unique to one incarnation of a process.
        A free or expired lease is taken over with the next epoch; its counters stay.
        """
        fresh = LeaseRecord(key, owner, epoch=1, deaths=0, expires_at_s=self._clock() + ttl_s)
        if self._store.create(lease_key(key), _bytes(fresh), JSON):
            return self._standing(fresh)
        try:
            standing = self.read(key)
        except ObjectCorrupt as error:
            self._on_unreadable(lease_key(key), type(error)(f"{lease_key(key)}: {error}; taken as free"))
            return self._write_anew(fresh)
        if standing is None or (standing.owner and 0.0 < standing.expires_at_s - self._clock() <= LONGEST_TTL_S):
            return None
        return self._swap(standing, owner=owner, epoch=standing.epoch + 1, expires_at_s=self._clock() + ttl_s)

    def renew(self, lease: Lease, ttl_s: float, *, deaths: int | None = None) -> Lease:
        """Hold on for `ttl_s` more seconds, with another number of `deaths` where given; LeaseLost."""
        deaths = lease.deaths if deaths is None else deaths
        renewed = self._swap(lease, deaths=deaths, expires_at_s=self._clock() + ttl_s)
        if renewed is None:
            raise LeaseLost(f"lease of {lease.key} (epoch {lease.epoch}): somebody else owns it now; drop the work")
        return renewed

    def release(self, lease: Lease, *, deaths: int | None = None) -> None:
        """Let go, with another number of `deaths` where given. A lease that is lost already stays as it is."""
        self._swap(lease, owner="", deaths=lease.deaths if deaths is None else deaths, expires_at_s=0.0)

    def forget(self, key: str) -> None:
        """Remove the record of a key that is decided, with its counters."""
        self._store.delete(lease_key(key))

    def _write_anew(self, fresh: LeaseRecord) -> Lease | None:
        """Of several who do this at once the last one has the lease; the others learn it when they renew."""
        # later than any epoch that was counted: the checkpoints of a field are sorted by it
        record = dataclasses.replace(fresh, epoch=int(self._clock()))
        self._store.put(lease_key(record.key), _bytes(record), JSON)
        return self._standing(record)

    def _swap(self, lease: Lease, **changes: Any) -> Lease | None:
        record = dataclasses.replace(lease.record, **changes)
        if not self._store.replace(lease_key(lease.key), _bytes(record), JSON, lease.etag):
            return None
        return self._standing(record)

    def _standing(self, record: LeaseRecord) -> Lease | None:
        """`record`, just written, with its etag; None when it was taken away in between."""
        standing = self.read(record.key)
        return standing if standing is not None and standing.record == record else None


def lease_key(key: str) -> str:
    """The key of the lease of a field."""
    return f"{LEASES}{key[:2]}/{key}.json"


def _bytes(record: LeaseRecord) -> bytes:
    return to_json(record, LEASE_SCHEMA)
