"""Leases: who works on which key until when, and how often the work has died.

A lease saves work, it does not protect it: safety comes from the conditional create of the
outcome. It is taken with If-None-Match, taken over after its end with If-Match and the next
epoch, and its counters stay when the owner goes. Nothing renews by itself here: the caller does,
well within the time to live (a third of it is usual).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from dreamfoundry.errors import LeaseLost, ObjectMissing
from dreamfoundry.library.record_json import from_json, to_json
from dreamfoundry.object_store.protocol import JSON, ObjectStore

LEASE_SCHEMA = "lease.v1"


@dataclass(frozen=True)
class LeaseRecord:
    """What the store keeps. `owner` is "" and `expires_at_s` 0 while nobody works on `key`.

    `attempts` counts the times the process died on this key alone, `candidate` the restarts for
    quality; `epoch` grows with every acquisition, so an old owner can be told from a new one.
    """

    key: str
    owner: str
    epoch: int
    attempts: int
    candidate: int
    expires_at_s: float


@dataclass(frozen=True)
class Lease(LeaseRecord):
    """A record together with the etag that lets its owner change it."""

    etag: str


class Leases:
    """The leases of a library. `clock` gives Unix seconds, by default those of the store."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] | None = None) -> None:
        self._store = store
        self._clock = clock if clock is not None else store.now_s

    def read(self, key: str) -> Lease | None:
        """The lease of `key` as it stands, None where nobody ever worked on it."""
        try:
            data, etag = self._store.read(_path(key))
        except ObjectMissing:
            return None
        record = from_json(LeaseRecord, LEASE_SCHEMA, data)
        return Lease(**dataclasses.asdict(record), etag=etag)

    def acquire(self, key: str, owner: str, ttl_s: float) -> Lease | None:
        """Take `key` for `ttl_s` seconds; None while somebody else holds it.

        `owner` must be unique to one incarnation of a process. A free or expired lease is taken
        over with the next epoch; its counters stay.
        """
        fresh = LeaseRecord(key, owner, 1, 0, 0, self._clock() + ttl_s)
        if self._store.create(_path(key), _bytes(fresh), JSON):
            return self._standing(fresh)
        standing = self.read(key)
        if standing is None or (standing.owner and standing.expires_at_s > self._clock()):
            return None
        return self._swap(standing, owner=owner, epoch=standing.epoch + 1, expires_at_s=self._clock() + ttl_s)

    def renew(self, lease: Lease, ttl_s: float, *, attempts: int | None = None, candidate: int | None = None) -> Lease:
        """Hold on for `ttl_s` more seconds, with counters changed where given; LeaseLost."""
        renewed = self._swap(
            lease,
            attempts=lease.attempts if attempts is None else attempts,
            candidate=lease.candidate if candidate is None else candidate,
            expires_at_s=self._clock() + ttl_s,
        )
        if renewed is None:
            raise LeaseLost(f"lease of {lease.key} (epoch {lease.epoch}): somebody else owns it now; drop the work")
        return renewed

    def release(self, lease: Lease, *, attempts: int | None = None, candidate: int | None = None) -> None:
        """Let go, with counters changed where given. A lease that is lost already stays as it is."""
        self._swap(
            lease,
            owner="",
            attempts=lease.attempts if attempts is None else attempts,
            candidate=lease.candidate if candidate is None else candidate,
            expires_at_s=0.0,
        )

    def forget(self, key: str) -> None:
        """Remove the record of a key that is decided, with its counters."""
        self._store.delete(_path(key))

    def _swap(self, lease: Lease, **changes: object) -> Lease | None:
        values = {f.name: getattr(lease, f.name) for f in dataclasses.fields(LeaseRecord)}
        record = LeaseRecord(**{**values, **changes})
        if not self._store.replace(_path(lease.key), _bytes(record), JSON, lease.etag):
            return None
        return self._standing(record)

    def _standing(self, record: LeaseRecord) -> Lease | None:
        """`record`, just written, with its etag; None when it was taken away in between."""
        standing = self.read(record.key)
        return standing if standing is not None and _same(standing, record) else None


def _same(lease: Lease, record: LeaseRecord) -> bool:
    return all(getattr(lease, f.name) == getattr(record, f.name) for f in dataclasses.fields(record))


def _path(key: str) -> str:
    return f"leases/{key[:2]}/{key}.json"


def _bytes(record: LeaseRecord) -> bytes:
    return to_json(record, LEASE_SCHEMA)
