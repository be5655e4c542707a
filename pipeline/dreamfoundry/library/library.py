"""The library: blobs, one outcome per asset key, snapshots by field key.

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

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing, OtherVersion
from dreamfoundry.library.record_json import OnUnreadable, from_json, read, read_all, refuse, to_json
from dreamfoundry.object_store.protocol import JSON, ObjectStore
from dreamfoundry.records import BlobRef, Outcome

OUTCOME_SCHEMA = "outcome.v1"
FIELD_SCHEMA = "field.v1"

RENEWED_AFTER_S = 12 * 3600.0
"""`put_blob` rewrites a blob older than this. So a blob that is about to be named is never older, far below the
age at which garbage is collected (see `library.garbage`)."""

BLOBS, TRASH, SET_ASIDE = "blobs/sha256/", "trash/sha256/", "trash/records/"
OUTCOMES, FIELDS, RUNS = "outcomes/", "fields/", "runs/"
"""Where the parts of a library begin."""

_SHA256 = re.compile("[0-9a-f]{64}")

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
    outcome = from_json(Outcome, OUTCOME_SCHEMA, data)
    refs = [*outcome.files.values(), *([outcome.snapshot] if outcome.snapshot else [])]
    require_names(OUTCOME_SCHEMA, outcome.prompt_id, *outcome.files, digests=[ref.sha256 for ref in refs])
    return outcome


def field_from_json(data: bytes) -> FieldRecord:
    """The record of a field in `data`; ObjectCorrupt."""
    record = from_json(FieldRecord, FIELD_SCHEMA, data)
    require_names(FIELD_SCHEMA, digests=[record.snapshot.sha256])
    return record


def require_names(where: str, *names: str, digests: Iterable[str] = ()) -> None:
    """ObjectCorrupt where a record has something in a place of a name or a SHA-256 that can be no part of a key."""
    for name in names:
        if "/" in name or not name or name.startswith(".") or not name.isprintable():
            raise ObjectCorrupt(f"{where}: {name!r} in the place of a name")
    for digest in digests:
        if not _SHA256.fullmatch(digest):
            raise ObjectCorrupt(f"{where}: {digest!r} in the place of a SHA-256")


class Library:
    """A library of assets in an object store.

    `on_unreadable` is told of objects that are left out, or written again, because they cannot be read.
    """

    def __init__(self, store: ObjectStore, on_unreadable: OnUnreadable = refuse) -> None:
        self.store, self.on_unreadable = store, on_unreadable

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
        """The outcome of `asset_key`, None while it is undecided; ObjectCorrupt."""
        try:
            return read(self.store, outcome_key(asset_key), outcome_from_json)
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
        except ObjectCorrupt:
            return False
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

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome that can be read, by ascending asset key."""
        found = read_all(self.store, self.store.list(OUTCOMES), outcome_from_json, self.on_unreadable)
        return (outcome for _, outcome in found)

    def quarantined(self, failure_class: str = "") -> Iterator[Outcome]:
        """The quarantined outcomes of one class, or of all: what a retry may replace."""
        for outcome in self.outcomes():
            if outcome.state == "quarantined" and failure_class in ("", outcome.failure_class):
                yield outcome

    def record_field(self, field_key: str, snapshot: BlobRef, instead_of: BlobRef | None = None) -> BlobRef:
        """Remember the stored snapshot of `field_key`; the first one stands and is returned. ObjectMissing.

        One that cannot be read stands no longer: a damaged record, or one of `instead_of`, a snapshot that is lost.
        """
        key, data = field_record_key(field_key), to_json(FieldRecord(field_key, snapshot), FIELD_SCHEMA)
        self._require_blobs([snapshot])
        if not self.store.create(key, data, JSON):
            try:
                standing = read(self.store, key, field_from_json).snapshot
                if standing != instead_of:
                    return standing
            except OtherVersion:
                return snapshot
            except (ObjectCorrupt, ObjectMissing):
                pass  # nobody can use it
            self.store.put(key, data, JSON)
        self._keep_blobs([snapshot])
        return snapshot

    def find_field(self, field_key: str) -> BlobRef | None:
        """The snapshot of `field_key`, None where nothing was optimised yet, or the record cannot be read."""
        key = field_record_key(field_key)
        try:
            return read(self.store, key, field_from_json).snapshot
        except ObjectMissing:
            return None
        except ObjectCorrupt as error:
            self.on_unreadable(key, error)
            return None

    def stored_fields(self) -> Iterator[str]:
        """The field keys that have a snapshot: one listing, no object is read."""
        for key in self.store.list(FIELDS):
            yield key.rpartition("/")[2].removesuffix(".json")


def decided_order(outcome: Outcome) -> tuple[str, str]:
    """Sorts the outcomes of one prompt id: the last is the latest."""
    return str(outcome.provenance.get("created_at", "")), outcome.asset_key


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
