"""The library: blobs, one outcome per asset key, snapshots by field key, named views.

The outcome is the only thing that makes an asset exist or a prompt be given up, and it appears
in ONE conditional create, after every blob that it names. What belongs to rows of manifests, further prompt
ids with the same content among it, is recorded in `library.rows`. All the rest can be rebuilt from these two.

Blobs that nothing names any more are taken away by `library.garbage`, whose docstring says why it
never takes one that an outcome names. Three habits here are its other half: `put_blob` renews what
is old, naming a blob looks at it before, and again afterwards.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.identity import canonical_json
from dreamfoundry.library.record_json import from_json, to_json
from dreamfoundry.object_store.protocol import JSON, ObjectStore, at_once
from dreamfoundry.records import BlobRef, Outcome

OUTCOME_SCHEMA = "outcome.v1"
FIELD_SCHEMA = "field.v1"

RENEWED_AFTER_S = 12 * 3600.0
"""`put_blob` rewrites a blob older than this. So a blob that is about to be named is never older, far below the
age at which garbage is collected (see `library.garbage`)."""

BLOBS, TRASH = "blobs/sha256/", "trash/sha256/"
OUTCOMES, FIELDS, RUNS = "outcomes/", "fields/", "runs/"
"""Where the parts of a library begin."""

VIEW_FILE = "view.json"
"""Written last into a named view: its presence says that the view is complete."""


@dataclass(frozen=True)
class FieldRecord:
    """Key of the snapshot of an optimised field, by which an export needs no optimisation."""

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

    def is_begun(self) -> bool:
        """True where a run has written anything yet: three listings that end at the first name."""
        return any(next(iter(self.store.list(prefix)), None) is not None for prefix in (OUTCOMES, RUNS, BLOBS))

    def put_blob(self, data: bytes, media_type: str) -> BlobRef:
        """Keep `data` under its SHA-256; nothing is sent when it is there already, whole and not old."""
        ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data), media_type)
        key = blob_key(ref.sha256)
        stat = self.store.stat(key)
        is_fresh = stat is not None and self.store.now_s() - stat.modified_s < RENEWED_AFTER_S
        if not is_fresh or not self.store.holds(key, data):
            self.store.put(key, data, media_type)
        return ref

    def get_blob(self, ref: BlobRef) -> bytes:
        """The bytes of `ref`, checked against its digest; ObjectMissing, ObjectCorrupt."""
        data = self.store.get(blob_key(ref.sha256))
        digest = hashlib.sha256(data).hexdigest()
        if digest != ref.sha256:
            raise ObjectCorrupt(f"{blob_key(ref.sha256)}: holds {len(data)} bytes with SHA-256 {digest}; delete it")
        return data

    def get_outcome(self, asset_key: str) -> Outcome | None:
        """The outcome of `asset_key`, None while it is undecided."""
        try:
            return outcome_from_json(self.store.get(outcome_key(asset_key)))
        except ObjectMissing:
            return None

    def publish(self, outcome: Outcome, instead_of: Outcome | None = None) -> bool:
        """Decide `outcome.asset_key`, once; False when somebody else's outcome stands.

        Every blob that it names must lie in the library: ObjectMissing. `instead_of` is the
        quarantined outcome whose retry led to `outcome`: it is replaced, if it still stands. A
        published outcome is never replaced.
        """
        key, data = outcome_key(outcome.asset_key), outcome_to_json(outcome)
        blobs = [*outcome.files.values(), *([outcome.snapshot] if outcome.snapshot else [])]
        self._require_blobs(blobs)
        if self._write_outcome(key, data, instead_of):
            self._keep_blobs(blobs)
            return True
        return False

    def _write_outcome(self, key: str, data: bytes, instead_of: Outcome | None) -> bool:
        if instead_of is None:
            return self.store.create(key, data, JSON)
        try:
            standing, etag = self.store.read(key)
        except ObjectMissing:
            return self.store.create(key, data, JSON)
        if instead_of.state != "quarantined" or standing != outcome_to_json(instead_of):
            return False
        return self.store.replace(key, data, JSON, etag)

    def _require_blobs(self, blobs: Iterable[BlobRef]) -> None:
        for ref in blobs:
            stat = self.store.stat(blob_key(ref.sha256))
            if stat is None or stat.num_bytes != ref.num_bytes:
                state = "is missing" if stat is None else f"has {stat.num_bytes} bytes, must have {ref.num_bytes}"
                raise ObjectMissing(f"{blob_key(ref.sha256)} {state}: store it again before naming it")

    def _keep_blobs(self, blobs: Iterable[BlobRef]) -> None:
        """Bring back what was taken away as garbage while it was being named."""
        for ref in blobs:
            if not self.store.exists(blob_key(ref.sha256)):
                self.store.copy(trash_key(ref.sha256), blob_key(ref.sha256))

    def decided(self) -> Iterator[str]:
        """The asset keys that have an outcome: one listing, no object is read."""
        for key in self.store.list(OUTCOMES):
            yield key.rpartition("/")[2].removesuffix(".json")

    def outcomes_of(self, asset_keys: Iterable[str]) -> Iterator[Outcome]:
        """Those that exist, in the order of their keys; many are read at a time."""
        return (outcome for outcome in at_once(self.get_outcome, asset_keys) if outcome is not None)

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome, by ascending asset key; ObjectCorrupt names the first that cannot be read."""

        def read(key: str) -> Outcome:
            try:
                return outcome_from_json(self.store.get(key))
            except ObjectCorrupt as error:
                raise ObjectCorrupt(f"{key}: {error}") from None

        return at_once(read, self.store.list(OUTCOMES))

    def quarantined(self, failure_class: str = "") -> Iterator[Outcome]:
        """The quarantined outcomes of one class, or of all: what a retry may replace."""
        for outcome in self.outcomes():
            if outcome.state == "quarantined" and failure_class in ("", outcome.failure_class):
                yield outcome

    def record_field(self, field_key: str, snapshot: BlobRef) -> BlobRef:
        """Remember the stored snapshot of `field_key`; the first one stands and is returned. ObjectMissing."""
        data = to_json(FieldRecord(field_key, snapshot), FIELD_SCHEMA)
        self._require_blobs([snapshot])
        if self.store.create(field_record_key(field_key), data, JSON):
            self._keep_blobs([snapshot])
            return snapshot
        return self.find_field(field_key) or snapshot

    def find_field(self, field_key: str) -> BlobRef | None:
        """The snapshot of `field_key`, None where nothing was optimised yet."""
        try:
            data = self.store.get(field_record_key(field_key))
        except ObjectMissing:
            return None
        return from_json(FieldRecord, FIELD_SCHEMA, data).snapshot

    def stored_fields(self) -> Iterator[str]:
        """The field keys that have a snapshot: one listing, no object is read."""
        for key in self.store.list(FIELDS):
            yield key.rpartition("/")[2].removesuffix(".json")

    def write_view(self, outcome: Outcome, prompt_id: str = "") -> None:
        """Show a published outcome under readable names, then point `latest.json` at it.

        `prompt_id` is for further rows of the manifest with the same asset key; by default it is
        the outcome's own. Can be repeated at any time, in any order: the outcome that was decided
        last is the latest.
        """
        prompt_id = prompt_id or outcome.prompt_id
        for name, ref in sorted(outcome.files.items()):
            self.store.copy(blob_key(ref.sha256), view_key(prompt_id, outcome.asset_key, name))
        self.store.put(view_key(prompt_id, outcome.asset_key, VIEW_FILE), view_json(outcome, prompt_id), JSON)
        self._point(outcome, prompt_id)

    def has_view(self, prompt_id: str, asset_key: str) -> bool:
        """True where the named view is complete."""
        return self.store.exists(view_key(prompt_id, asset_key, VIEW_FILE))

    def views(self) -> Iterator[tuple[str, str]]:
        """(prompt_id, asset_key) of every complete named view: one listing."""
        for key in self.store.list("assets/"):
            parts = key.split("/")
            if len(parts) == 4 and parts[3] == VIEW_FILE:
                yield parts[1], parts[2]

    def _point(self, outcome: Outcome, prompt_id: str) -> None:
        """Set the pointer, unless it names an outcome that was decided later; never a mixture of two."""
        key, data = latest_key(prompt_id), latest_json(outcome, prompt_id)
        while not self.store.create(key, data, JSON):
            standing, etag = self.store.read(key)
            if standing == data or self._is_later(standing, outcome, prompt_id):
                return
            if self.store.replace(key, data, JSON, etag):
                return

    def _is_later(self, pointer: bytes, outcome: Outcome, prompt_id: str) -> bool:
        """True where `pointer` is that of a published outcome decided after `outcome`."""
        match = re.search(rb'"asset_key":"([0-9a-f]{64})"', pointer)
        other = self.get_outcome(match[1].decode()) if match else None
        return (
            other is not None
            and other.state == "published"
            and pointer == latest_json(other, prompt_id)
            and decided_order(other) > decided_order(outcome)
        )


def decided_order(outcome: Outcome) -> tuple[str, str]:
    """Sorts the outcomes of one prompt id: the last is the latest."""
    return str(outcome.provenance.get("created_at", "")), outcome.asset_key


def view_json(outcome: Outcome, prompt_id: str) -> bytes:
    """The content of `VIEW_FILE` in a named view."""
    digests = {name: ref.sha256 for name, ref in outcome.files.items()}
    return canonical_json({"schema": "view.v1", **_identity_of(outcome, prompt_id), "files": digests})


def latest_json(outcome: Outcome, prompt_id: str) -> bytes:
    """The pointer of `prompt_id` while `outcome` is its latest."""
    return canonical_json({"schema": "latest.v1", **_identity_of(outcome, prompt_id)})


def _identity_of(outcome: Outcome, prompt_id: str) -> dict[str, str]:
    return {"prompt_id": prompt_id, "asset_key": outcome.asset_key, "slug": outcome.slug}


def blob_key(sha256: str) -> str:
    return f"{BLOBS}{sha256[:2]}/{sha256[2:]}"


def trash_key(sha256: str) -> str:
    return f"{TRASH}{sha256[:2]}/{sha256[2:]}"


def outcome_key(asset_key: str) -> str:
    return f"{OUTCOMES}{asset_key[:2]}/{asset_key}.json"


def field_record_key(field_key: str) -> str:
    return f"{FIELDS}{field_key[:2]}/{field_key}.json"


def view_key(prompt_id: str, asset_key: str, name: str) -> str:
    return _beside("assets", prompt_id, asset_key, name)


def latest_key(prompt_id: str) -> str:
    return _beside("assets", prompt_id, "latest.json")


def _beside(*parts: str) -> str:
    """A key of exactly these parts: no part can hide another one in it; ValueError."""
    for part in parts:
        if "/" in part:
            raise ValueError(f"{part!r} in a key: must not contain a slash")
    return "/".join(parts)
