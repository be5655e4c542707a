"""Audit of a library: every outcome, every blob an outcome names, every projection.

Reads everything once: blobs and named views are compared with their digests, projections with what
`library.projections` would write now. Changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.identity import digest
from dreamfoundry.library.entries import Entries, Entry
from dreamfoundry.library.keys import SIDECAR_FILE, has_request, request_problems, sidecar_problems
from dreamfoundry.library.library import (
    FIELD_SCHEMA,
    FIELDS,
    OUTCOMES,
    VIEW_FILE,
    FieldRecord,
    Library,
    blob_key,
    field_record_key,
    latest_json,
    latest_key,
    outcome_from_json,
    outcome_key,
    trash_key,
    view_json,
    view_key,
)
from dreamfoundry.library.lost_rows import LOST_ROWS, lost_rows_from_json, recorded_lost_rows
from dreamfoundry.library.projections import entries_of, summaries
from dreamfoundry.library.record_json import from_json
from dreamfoundry.library.rows import ALIASES, BAD_ROWS, ROWS, aliases_from_json, bad_rows_from_json, rows_from_json
from dreamfoundry.object_store.protocol import at_once
from dreamfoundry.records import BlobRef, Outcome

T = TypeVar("T")

VALIDATION_FILE = "validation.json"

_RECORDS: Mapping[str, Callable[[bytes], object]] = {
    ALIASES: aliases_from_json,
    ROWS: rows_from_json,
    BAD_ROWS: bad_rows_from_json,
    LOST_ROWS: lost_rows_from_json,
}
"""Records beside the outcomes that projections are made from, by where they begin."""

_REBUILD = "run `dreamfoundry verify --rebuild`"


@dataclass(frozen=True)
class Defect:
    """Something in the library that is wrong: which object, what about it, and what to do."""

    key: str
    problem: str
    remedy: str


class Audit:
    """One look at a library. Counts are complete once `defects` has been read to its end.

    `num_unvalidated` published assets were made where the Khronos validator was absent: no defect,
    but not to be read as passed. The keys of `num_older` outcomes cannot be recomputed: versions before
    this one did not record what they are made of.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._outcomes: list[Outcome] = []
        self._settings: dict[str, object] = {}  # by their digests: outcomes have few different ones
        self.num_outcomes = 0
        self.num_blobs = 0
        self.num_blob_bytes = 0
        self.num_views = 0
        self.num_unvalidated = 0
        self.num_older = 0

    def defects(self) -> Iterator[Defect]:
        """Everything that is wrong, as it is found."""
        record_key_by_blob: dict[BlobRef, str] = {}
        yield from self._read_outcomes()
        for outcome in self._outcomes:
            for ref in (*outcome.files.values(), *([outcome.snapshot] if outcome.snapshot else [])):
                record_key_by_blob.setdefault(ref, outcome_key(outcome.asset_key))
        yield from self._read_fields(record_key_by_blob)
        self.num_blobs, self.num_blob_bytes = len(record_key_by_blob), sum(ref.num_bytes for ref in record_key_by_blob)
        yield from _found(self._check_blob, record_key_by_blob.items())
        yield from self._check_validations()
        yield from self._check_sidecars()
        yield from self._check_projections()

    def _read_outcomes(self) -> Iterator[Defect]:
        for key, read in at_once(self._read(outcome_from_json), self._library.store.list(OUTCOMES)):
            self.num_outcomes += 1
            if isinstance(read, Outcome) and outcome_key(read.asset_key) == key:
                self._outcomes.append(self._with_shared_settings(read))
                self.num_older += not has_request(read)
                yield from _wrong(read, request_problems(read))
            else:
                problem = f"is about {read.asset_key}" if isinstance(read, Outcome) else str(read)
                yield Defect(key, problem, "delete it and run its manifest again, or read it with the version it names")

    def _with_shared_settings(self, outcome: Outcome) -> Outcome:
        """`outcome` with one object for the settings that many requests have in common, so that memory holds more."""
        request = outcome.provenance.get("request")
        if not isinstance(request, dict):
            return outcome

        def shared(parts: object) -> object:
            if not isinstance(parts, dict):
                return parts
            return {
                name: self._settings.setdefault(digest(value), value) if isinstance(value, dict) else value
                for name, value in parts.items()
            }

        request = {name: shared(parts) for name, parts in request.items()}
        return replace(outcome, provenance={**outcome.provenance, "request": request})

    def _read_fields(self, record_key_by_blob: dict[BlobRef, str]) -> Iterator[Defect]:
        def parse(data: bytes) -> FieldRecord:
            return from_json(FieldRecord, FIELD_SCHEMA, data)

        for key, read in at_once(self._read(parse), self._library.store.list(FIELDS)):
            if isinstance(read, FieldRecord) and field_record_key(read.field_key) == key:
                record_key_by_blob.setdefault(read.snapshot, key)
            else:
                problem = f"is about {read.field_key}" if isinstance(read, FieldRecord) else str(read)
                yield Defect(key, problem, "delete it: the field is optimised again when an export needs it")

    def _read(self, parse: Callable[[bytes], object]) -> Callable[[str], tuple[str, object]]:
        """Reads a key; what cannot be parsed comes back as its error."""

        def read(key: str) -> tuple[str, object]:
            try:
                return key, parse(self._library.store.get(key))
            except (ObjectCorrupt, ObjectMissing) as error:
                return key, error

        return read

    def _check_blob(self, named: tuple[BlobRef, str]) -> Defect | None:
        ref, namer = named
        key = blob_key(ref.sha256)
        problem = self._difference(key, ref)
        if not problem:
            return None
        if self._library.store.exists(trash_key(ref.sha256)):
            return Defect(key, f"{problem}; {namer} names it", "run `dreamfoundry gc --delete`, which brings it back")
        remedy = f"put a good copy there (assets/ may have one), or delete {namer} and run its manifest again"
        return Defect(key, f"{problem}; {namer} names it", remedy)

    def _difference(self, key: str, ref: BlobRef) -> str:
        """The difference between the bytes of `key` and `ref`, in words; "" where there is none."""
        try:
            data = self._library.store.get(key)
        except ObjectMissing:
            return "is missing"
        if len(data) != ref.num_bytes:
            return f"has {len(data)} bytes, must have {ref.num_bytes}"
        digest = hashlib.sha256(data).hexdigest()
        return "" if digest == ref.sha256 else f"has SHA-256 {digest}, must have {ref.sha256}"

    def _check_validations(self) -> Iterator[Defect]:
        """Every published asset must say that all gates let it pass, in its files and in its outcome."""
        published = [outcome for outcome in self._outcomes if outcome.state == "published"]
        for outcome, gates in zip(published, at_once(self._gates, published), strict=True):
            refusals = [gate for gate, word in gates.items() if word == "block"]
            findings = outcome.provenance.get("findings")
            texts = findings if isinstance(findings, list) else []
            refusals += [text for text in map(str, texts) if text.startswith("block ")]
            self.num_unvalidated += gates.get("khronos") == "not_run"
            if refusals or not gates:
                how = f"although refused: {'; '.join(refusals)}" if refusals else f"without a usable {VALIDATION_FILE}"
                yield Defect(
                    outcome_key(outcome.asset_key),
                    f"is published {how}",
                    "look at the asset; to make it again, delete the outcome and run its manifest again",
                )

    def _check_sidecars(self) -> Iterator[Defect]:
        """Every published asset must have files that say its own keys and prompt, where they say any."""
        published = [outcome for outcome in self._outcomes if SIDECAR_FILE in outcome.files]
        for outcome, problems in zip(published, at_once(self._sidecar_problems, published), strict=True):
            yield from _wrong(outcome, problems)

    def _sidecar_problems(self, outcome: Outcome) -> list[str]:
        """None where it is damaged or missing: that is told of the blob."""
        try:
            return sidecar_problems(outcome, self._library.get_blob(outcome.files[SIDECAR_FILE]))
        except (ObjectCorrupt, ObjectMissing):
            return []

    def _gates(self, outcome: Outcome) -> dict[str, str]:
        """The word of every gate, none where the validation of the asset cannot be read."""
        try:
            gates = json.loads(self._library.get_blob(outcome.files[VALIDATION_FILE]))["gates"]
            return {str(gate): str(word) for gate, word in gates.items()}
        except (ObjectCorrupt, ObjectMissing, ValueError, TypeError, AttributeError, KeyError):
            return {}

    def _check_projections(self) -> Iterator[Defect]:
        unreadable = list(self._read_records())
        yield from unreadable
        if unreadable:
            return
        with entries_of(self._library, self._outcomes) as entries:
            yield from _found(self._check_view, self._counted(entries.published()))
            yield from self._check_strangers(entries)
            yield from _found(self._check_latest, _current(entries))
            for key, file, _ in summaries(entries, recorded_lost_rows(self._library)):
                if not self._library.store.holds_file(key, file):
                    is_there = self._library.store.exists(key)
                    yield Defect(key, "is not what the outcomes say" if is_there else "is missing", _REBUILD)

    def _read_records(self) -> Iterator[Defect]:
        for prefix, parse in _RECORDS.items():
            for key, read in at_once(self._read(parse), self._library.store.list(prefix)):
                if isinstance(read, ObjectCorrupt | ObjectMissing):
                    yield Defect(key, str(read), "delete the record and run the manifests again")

    def _counted(self, views: Iterable[Entry]) -> Iterator[Entry]:
        for view in views:
            self.num_views += 1
            yield view

    def _check_view(self, view: Entry) -> Defect | None:
        prompt_id, outcome = view.prompt_id, view.outcome
        for name, ref in sorted(outcome.files.items()):
            key = view_key(prompt_id, outcome.asset_key, name)
            problem = self._difference(key, ref)
            if problem:
                return Defect(key, problem, _REBUILD)
        expected = view_json(outcome, prompt_id)
        return next(self._compare(view_key(prompt_id, outcome.asset_key, VIEW_FILE), expected), None)

    def _check_strangers(self, entries: Entries) -> Iterator[Defect]:
        for prompt_id, asset_key in self._library.views():
            if not entries.has_published(prompt_id, asset_key):
                yield Defect(
                    view_key(prompt_id, asset_key, VIEW_FILE),
                    "shows what no outcome says was published under this prompt id",
                    "run its manifest again, which records the prompt id, or delete the view",
                )

    def _check_latest(self, latest: Entry) -> Defect | None:
        prompt_id, outcome = latest.prompt_id, latest.outcome
        return next(self._compare(latest_key(prompt_id), latest_json(outcome, prompt_id)), None)

    def _compare(self, key: str, expected: bytes) -> Iterator[Defect]:
        try:
            if self._library.store.get(key) != expected:
                yield Defect(key, "is not what the outcomes say", _REBUILD)
        except ObjectMissing:
            yield Defect(key, "is missing", _REBUILD)


def _current(entries: Entries) -> Iterator[Entry]:
    """Every prompt id that has named views, with what was decided last of them."""
    return (entry for entry in entries.published() if entry.is_current)


def _wrong(outcome: Outcome, problems: Sequence[str]) -> Iterator[Defect]:
    if problems:
        remedy = "it may show another prompt than was asked for: delete it and run its manifest again"
        yield Defect(outcome_key(outcome.asset_key), "; ".join(problems), remedy)


def _found(check: Callable[[T], Defect | None], items: Iterable[T]) -> Iterator[Defect]:
    return (defect for defect in at_once(check, items) if defect is not None)
