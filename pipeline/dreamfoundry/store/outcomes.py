"""What a library holds: blobs, one outcome per asset key, snapshots by field key, named views.

The outcome is the only thing that makes an asset exist or a prompt be given up, and it appears
in ONE conditional create, after every blob that it names. All the rest can be rebuilt from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.identity import canonical_json
from dreamfoundry.record_json import from_json, to_json
from dreamfoundry.records import BlobRef, Outcome
from dreamfoundry.store.objects import JSON, ObjectStore

OUTCOME_SCHEMA = "outcome.v1"
FIELD_SCHEMA = "field.v1"

VIEW_FILE = "view.json"
"""Written last into a named view: its presence says that the view is complete."""


@dataclass(frozen=True)
class FieldRecord:
    """Where the snapshot of an optimised field lies, so that an export needs no optimisation."""

    field_key: str
    snapshot: BlobRef


def outcome_to_json(outcome: Outcome) -> bytes:
    """Canonical JSON (schema outcome.v1): equal outcomes have equal bytes."""
    return to_json(outcome, OUTCOME_SCHEMA)


def outcome_from_json(data: bytes) -> Outcome:
    """The outcome that `outcome_to_json` wrote; ObjectCorrupt for anything else."""
    return from_json(Outcome, OUTCOME_SCHEMA, data)


class Library:
    """A library of assets in an object store."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def put_blob(self, data: bytes, media_type: str) -> BlobRef:
        """Keep `data` under its SHA-256; nothing is sent when it is there already."""
        ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data), media_type)
        key = _blob_key(ref.sha256)
        if not self.store.exists(key):
            self.store.put(key, data, media_type)
        return ref

    def get_blob(self, ref: BlobRef) -> bytes:
        """The bytes of `ref`, checked against its digest; ObjectMissing, ObjectCorrupt."""
        data = self.store.get(_blob_key(ref.sha256))
        found = hashlib.sha256(data).hexdigest()
        if found != ref.sha256:
            raise ObjectCorrupt(f"{_blob_key(ref.sha256)}: holds {len(data)} bytes with SHA-256 {found}; delete it")
        return data

    def get_outcome(self, asset_key: str) -> Outcome | None:
        """What became of `asset_key`, None while it is undecided."""
        try:
            return outcome_from_json(self.store.get(_outcome_key(asset_key)))
        except ObjectMissing:
            return None

    def publish(self, outcome: Outcome, instead_of: Outcome | None = None) -> bool:
        """Decide `outcome.asset_key`, once; False when somebody else's outcome stands.

        `instead_of` is the quarantined outcome whose retry led to `outcome`: it is replaced, if
        it still stands. A published outcome is never replaced.
        """
        key, data = _outcome_key(outcome.asset_key), outcome_to_json(outcome)
        if instead_of is None:
            return self.store.create(key, data, JSON)
        try:
            standing, etag = self.store.read(key)
        except ObjectMissing:
            return self.store.create(key, data, JSON)
        if instead_of.state != "quarantined" or standing != outcome_to_json(instead_of):
            return False
        return self.store.replace(key, data, JSON, etag)

    def decided(self) -> set[str]:
        """The asset keys that have an outcome: one listing, no object is read."""
        return {key.rpartition("/")[2].removesuffix(".json") for key in self.store.list("outcomes/")}

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome, by ascending asset key."""
        for key in self.store.list("outcomes/"):
            yield outcome_from_json(self.store.get(key))

    def quarantined(self, failure_class: str = "") -> Iterator[Outcome]:
        """The quarantined outcomes of one class, or of all: what a retry may replace."""
        for outcome in self.outcomes():
            if outcome.state == "quarantined" and failure_class in ("", outcome.failure_class):
                yield outcome

    def record_field(self, field_key: str, snapshot: BlobRef) -> BlobRef:
        """Remember the snapshot of `field_key`; the first one stands and is returned."""
        data = to_json(FieldRecord(field_key, snapshot), FIELD_SCHEMA)
        if self.store.create(_field_path(field_key), data, JSON):
            return snapshot
        return self.find_field(field_key) or snapshot

    def find_field(self, field_key: str) -> BlobRef | None:
        """The snapshot of `field_key`, None where nothing was optimised yet."""
        try:
            data = self.store.get(_field_path(field_key))
        except ObjectMissing:
            return None
        return from_json(FieldRecord, FIELD_SCHEMA, data).snapshot

    def write_view(self, outcome: Outcome, prompt_id: str = "") -> None:
        """Show a published outcome under readable names, then point `latest.json` at it.

        `prompt_id` is for further rows of the manifest with the same asset key; by default it is
        the outcome's own. Can be repeated at any time.
        """
        prompt_id = prompt_id or outcome.prompt_id
        folder = f"assets/{prompt_id}/{outcome.asset_key}"
        for name, ref in sorted(outcome.files.items()):
            self.store.copy(_blob_key(ref.sha256), f"{folder}/{name}")
        about = {"prompt_id": prompt_id, "asset_key": outcome.asset_key, "slug": outcome.slug}
        digests = {name: ref.sha256 for name, ref in outcome.files.items()}
        self.store.put(f"{folder}/{VIEW_FILE}", canonical_json({"schema": "view.v1", **about, "files": digests}), JSON)
        self._point(f"assets/{prompt_id}/latest.json", canonical_json({"schema": "latest.v1", **about}))

    def views(self) -> set[tuple[str, str]]:
        """(prompt_id, asset_key) of every complete named view: one listing."""
        parts = (key.split("/") for key in self.store.list("assets/"))
        return {(path[1], path[2]) for path in parts if len(path) == 4 and path[3] == VIEW_FILE}

    def _point(self, key: str, data: bytes) -> None:
        """Set a pointer; of two writers at once the later compare-and-swap wins, never a mixture."""
        while not self.store.create(key, data, JSON):
            standing, etag = self.store.read(key)
            if standing == data or self.store.replace(key, data, JSON, etag):
                return


def _blob_key(sha256: str) -> str:
    return f"blobs/sha256/{sha256[:2]}/{sha256[2:]}"


def _outcome_key(asset_key: str) -> str:
    return f"outcomes/{asset_key[:2]}/{asset_key}.json"


def _field_path(field_key: str) -> str:
    return f"fields/{field_key[:2]}/{field_key}.json"
