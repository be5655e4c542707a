"""Checkpoints of fields in mid-optimisation: the last two of each field, named so that they check themselves.

    checkpoints/{field_key[:2]}/{field_key}/{epoch}-{num_steps}-{sha256}.npz

The epoch is that of the lease under which the work was done, so an owner who was thought dead
writes beside his successor's checkpoints, never over them. The digest in the name says whether
the bytes are whole. What the bytes mean is known to `dreamfoundry.distill.checkpoint` only.
"""

from __future__ import annotations

import hashlib

from dreamfoundry.errors import ObjectCorrupt
from dreamfoundry.object_store.protocol import ObjectStore

CHECKPOINTS = "checkpoints/"
"""Where they lie."""

MEDIA_TYPE = "application/x-npz"

KEPT = 2
"""The newest may be damaged; then the one before it serves."""


class Checkpoints:
    """The checkpoints of a library."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def save(self, field_key: str, epoch: int, num_steps: int, data: bytes) -> None:
        """Keep `data`, and of this field only the newest KEPT."""
        digest = hashlib.sha256(data).hexdigest()
        self._store.put(f"{_folder(field_key)}{epoch:06d}-{num_steps:08d}-{digest}.npz", data, MEDIA_TYPE)
        for name in self.names(field_key)[KEPT:]:
            self._store.delete(name)

    def names(self, field_key: str) -> list[str]:
        """Keys of the checkpoints of a field, the newest (by epoch, then by steps) first."""
        return sorted(self._store.list(_folder(field_key)), reverse=True)

    def read(self, name: str) -> bytes:
        """The bytes of one of `names`; ObjectMissing, ObjectCorrupt if they are not what was saved."""
        data = self._store.get(name)
        if hashlib.sha256(data).hexdigest() not in name:
            raise ObjectCorrupt(f"{name}: its {len(data)} bytes are not those that were saved; it is left alone")
        return data

    def forget(self, field_key: str) -> None:
        """Remove all checkpoints of a field that needs none any more."""
        for name in self.names(field_key):
            self._store.delete(name)


def _folder(field_key: str) -> str:
    return f"{CHECKPOINTS}{field_key[:2]}/{field_key}/"
