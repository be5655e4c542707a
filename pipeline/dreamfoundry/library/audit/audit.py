"""Audit of a library: every outcome, every blob an outcome names, every record, every projection.

Reads everything once: blobs and named views are compared with their digests, projections with what
`library.projections` would write now. Changes nothing. What it has to remember lies in temporary files, so its
memory hardly grows with the library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.library.audit.defects import Defect
from dreamfoundry.library.audit.named_blobs import NamedBlob, NamedBlobs
from dreamfoundry.library.audit.projection_check import SILENT_S, LiveRuns, ProjectionCheck, difference, found
from dreamfoundry.library.audit.small_records import REPAIR, Parse, small_record_defects, unreadable
from dreamfoundry.library.entries import Entries
from dreamfoundry.library.keys import SIDECAR_FILE, has_request, request_problems, sidecar_problems
from dreamfoundry.library.library import (
    FIELDS,
    OUTCOMES,
    FieldRecord,
    Library,
    blob_key,
    field_from_json,
    field_record_key,
    outcome_from_json,
    outcome_key,
    trash_key,
)
from dreamfoundry.library.record_json import Unreadable
from dreamfoundry.library.rows import mended_rows, recorded_aliases, recorded_rows
from dreamfoundry.object_store.protocol import at_once
from dreamfoundry.records import Outcome

T = TypeVar("T")

VALIDATION_FILE = "validation.json"

_AGAIN = f"{REPAIR}, then its manifest again"


class Audit:
    """One look at a library. Counts are complete once `defects` has been read to its end.

    `num_unvalidated` published assets were made where the Khronos validator was absent: no defect, but not to be
    read as passed. The keys of `num_older` outcomes cannot be recomputed: versions before this one did not record
    what they are made of. `num_lost_fields` outcomes name a snapshot that is lost, while their files are whole.
    `live_runs` have written something about themselves within `silent_s`, or ended meanwhile, so the projections
    were not all compared. `run_records` says how to read the records of runs, by where they begin.
    """

    def __init__(
        self, library: Library, run_records: Mapping[str, Parse] | None = None, silent_s: float = SILENT_S
    ) -> None:
        # what cannot be read is told as a defect of its own, and left out of the rest
        self._library = Library(library.store, lambda key, error: None)
        self._run_records, self._silent_s = run_records or {}, silent_s
        self.live_runs: list[str] = []
        self.num_outcomes = 0
        self.num_blobs = 0
        self.num_blob_bytes = 0
        self.num_views = 0
        self.num_unvalidated = 0
        self.num_older = 0
        self.num_lost_fields = 0

    def defects(self) -> Iterator[Defect]:
        """Everything that is wrong, as it is found."""
        runs = LiveRuns(self._library, self._silent_s)
        with ExitStack() as stack:
            entries, named = stack.enter_context(Entries([], [])), stack.enter_context(NamedBlobs())
            yield from self._read_outcomes(entries, named)
            yield from self._read_fields(named)
            self.num_blobs, self.num_blob_bytes = named.count()
            for defect in found(self._check_blob, named):
                if defect.kind == "lost field":
                    self.num_lost_fields += 1
                else:
                    yield defect
            yield from self._check_files(entries)
            yield from small_record_defects(self._library, self._run_records)

            entries.complete(recorded_aliases(self._library), recorded_rows(self._library))
            entries.drop(mended_rows(self._library))
            check = ProjectionCheck(self._library, entries)
            yield from check.defects(runs)
            self.num_views, self.live_runs = check.num_views, runs.find()

    def _read_outcomes(self, entries: Entries, named: NamedBlobs) -> Iterator[Defect]:
        for key, read in at_once(self._read(outcome_from_json), self._library.store.list(OUTCOMES)):
            self.num_outcomes += 1
            if not isinstance(read, Outcome):
                yield unreadable(key, read, _AGAIN)
            elif outcome_key(read.asset_key) != key:
                yield Defect(key, f"is about {read.asset_key}", _AGAIN, "record")
            else:
                entries.take(read)
                named.add_outcome(read)
                self.num_older += not has_request(read)
                yield from _wrong(read, request_problems(read))

    def _read(self, parse: Callable[[bytes], T]) -> Callable[[str], tuple[str, T | Unreadable]]:
        """Reads a key; what cannot be read comes back as its error."""

        def read(key: str) -> tuple[str, T | Unreadable]:
            try:
                return key, parse(self._library.store.get(key))
            except (ObjectCorrupt, ObjectMissing) as error:
                return key, error

        return read

    def _read_fields(self, named: NamedBlobs) -> Iterator[Defect]:
        remedy = f"{REPAIR}: the field is optimised again when an export needs it"
        for key, read in at_once(self._read(field_from_json), self._library.store.list(FIELDS)):
            if not isinstance(read, FieldRecord):
                yield unreadable(key, read, remedy)
            elif field_record_key(read.field_key) != key:
                yield Defect(key, f"is about {read.field_key}", remedy, "record")
            else:
                named.add_field(read.field_key, read.snapshot)

    def _check_blob(self, named: NamedBlob) -> Defect | None:
        key, ref = blob_key(named.ref.sha256), named.ref
        problem = difference(self._library, key, ref)
        if not problem:
            return None
        remedy = f"put a good copy there (assets/ may have one), or {REPAIR}, then the manifest of {named.namer}"
        if self._library.store.exists(trash_key(ref.sha256)):
            remedy = "run `dreamfoundry gc --delete`, which brings it back"
        elif not named.is_needed:
            return Defect(key, problem, "", "lost field")
        return Defect(key, f"{problem}; {named.namer} names it", remedy, "blob", ref, named.namer)

    def _check_files(self, entries: Entries) -> Iterator[Defect]:
        """Files must say that they are of their outcome, and of a published one that all gates let it pass."""
        for outcome, gates, problems in at_once(self._read_files, entries.outcomes()):
            yield from _wrong(outcome, problems)
            if outcome.state != "published":
                continue
            refusals = [gate for gate, word in gates.items() if word == "block"]
            findings = outcome.provenance.get("findings")
            texts = findings if isinstance(findings, list) else []
            refusals += [text for text in map(str, texts) if text.startswith("block ")]
            self.num_unvalidated += gates.get("khronos") == "not_run"

            if refusals or not gates:
                how = f"although refused: {'; '.join(refusals)}" if refusals else f"without a usable {VALIDATION_FILE}"
                remedy = "look at the asset; to make it again, delete the outcome and run its manifest again"
                yield Defect(outcome_key(outcome.asset_key), f"is published {how}", remedy, "refused")

    def _read_files(self, outcome: Outcome) -> tuple[Outcome, dict[str, str], list[str]]:
        """An outcome with the words of its gates, and with what is wrong about its sidecar."""
        return outcome, self._gates(outcome), self._sidecar_problems(outcome)

    def _sidecar_problems(self, outcome: Outcome) -> list[str]:
        """None where it is damaged or missing: that is told of the blob."""
        try:
            return sidecar_problems(outcome, self._library.get_blob(outcome.files[SIDECAR_FILE]))
        except (KeyError, ObjectCorrupt, ObjectMissing):
            return []

    def _gates(self, outcome: Outcome) -> dict[str, str]:
        """The word of every gate, none where the validation of the asset cannot be read."""
        try:
            gates = json.loads(self._library.get_blob(outcome.files[VALIDATION_FILE]))["gates"]
            return {str(gate): str(word) for gate, word in gates.items()}
        except (ObjectCorrupt, ObjectMissing, ValueError, TypeError, AttributeError, KeyError):
            return {}


def _wrong(outcome: Outcome, problems: Sequence[str]) -> Iterator[Defect]:
    if problems:
        remedy = f"it may show another prompt than was asked for: {_AGAIN}"
        yield Defect(outcome_key(outcome.asset_key), "; ".join(problems), remedy, "asset")
