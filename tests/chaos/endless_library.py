"""Verifying a library of many assets that takes no room: its objects are made when they are read.

    python tests/chaos/endless_library.py NUM_OUTCOMES

Every outcome is published, under a prompt id of its own, with a GLB of its own. Prints one line of JSON: `peak_mib` of
this process, `prepared_mib` before it began to verify, `outcomes_per_s`, `processor_s`. The temporary folder must have
room for 4 KB for each outcome.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from io import BufferedIOBase
from itertools import islice
from typing import cast

from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import (
    BLOBS,
    FIELD_SCHEMA,
    FIELDS,
    OUTCOMES,
    FieldRecord,
    Library,
    field_record_key,
    outcome_key,
    outcome_to_json,
    view_key,
)
from dreamfoundry.library.record_json import to_json
from dreamfoundry.library.views import latest_json, view_json
from dreamfoundry.object_store.protocol import ObjectStat, ObjectStore, fill
from dreamfoundry.records import BlobRef, Outcome

VALIDATION = b'{"gates": {"khronos": "passed"}, "schema": "validation.v1"}'


def glb(number: int) -> bytes:
    return b"glTF %d" % number


def ref_of(data: bytes) -> BlobRef:
    return BlobRef(hashlib.sha256(data).hexdigest(), len(data), "application/octet-stream")


def prompt_id(number: int) -> str:
    return f"row-{number:07}"


def outcome(number: int, num_outcomes: int) -> Outcome:
    """The keys are spread evenly, and ascend with the numbers."""
    key = f"{number * (2**256 // num_outcomes):064x}"
    files = {"a.glb": ref_of(glb(number)), "validation.json": ref_of(VALIDATION)}
    provenance: dict[str, object] = {
        "created_at": f"2026-01-01T00:00:{number % 60:02}Z",
        "run_id": "20260101T000000Z-aaaaaa",
        "prior": {"prior_id": "stub", "revision": "1", "digest": "0" * 64, "licence": "Apache-2.0"},
        "export_timings_s": {f"stage_{stage}": 0.25 for stage in range(12)},
        "findings": [f"note gate_{gate}: {'all is well ' * 3}" for gate in range(8)],
    }
    scores = {f"score_{score}": 0.5 for score in range(16)}
    prompt = f"a small toy of number {number}"
    return Outcome(
        key, key, prompt_id(number), prompt, "published", slug="a", files=files, scores=scores, provenance=provenance
    )


class EndlessStore:
    """All that an audit asks of a store, of `num_outcomes` assets. Catalog and page are as they must be."""

    def __init__(self, num_outcomes: int) -> None:
        self._num_outcomes, self._lock = num_outcomes, threading.Lock()
        self._numbers = sqlite3.connect("", check_same_thread=False)  # of the blobs, on the disk
        self._numbers.execute("CREATE TABLE numbers (sha256 TEXT PRIMARY KEY, number INT) WITHOUT ROWID")
        numbers = ((ref_of(glb(number)).sha256, number) for number in range(num_outcomes))
        self._numbers.executemany("INSERT INTO numbers VALUES (?, ?)", numbers)

    def now_s(self) -> float:
        return time.time()

    def stats(self, prefix: str) -> Iterator[ObjectStat]:
        return iter(())

    def list(self, prefix: str) -> Iterator[str]:
        for number in range(self._num_outcomes) if prefix in (OUTCOMES, FIELDS, "assets/") else ():
            made = outcome(number, self._num_outcomes)
            if prefix == "assets/":
                yield view_key(made.prompt_id, made.asset_key, "view.json")
            else:
                yield outcome_key(made.asset_key) if prefix == OUTCOMES else field_record_key(made.field_key)

    def get(self, key: str) -> bytes:
        *_, folder, name = key.split("/")
        if key.startswith(BLOBS):
            return self._blob(folder + name)
        number = int(key.split("/")[1].removeprefix("row-")) if key.startswith("assets/") else self._number(name)
        made = outcome(number, self._num_outcomes)
        if name == "latest.json":
            return latest_json(made, made.prompt_id)
        if name == "view.json":
            return view_json(made, made.prompt_id)
        if name in made.files:
            return self._blob(made.files[name].sha256)
        if key.startswith(FIELDS):
            return to_json(FieldRecord(made.field_key, made.files["a.glb"]), FIELD_SCHEMA)
        return outcome_to_json(made)

    def get_file(self, key: str, file: BufferedIOBase) -> None:
        fill(file, [self.get(key)])

    def exists(self, key: str) -> bool:
        return True

    def holds_file(self, key: str, file: BufferedIOBase) -> bool:
        return True

    def _number(self, name: str) -> int:
        return int(name.removesuffix(".json"), 16) // (2**256 // self._num_outcomes)

    def _blob(self, sha256: str) -> bytes:
        if sha256 == ref_of(VALIDATION).sha256:
            return VALIDATION
        with self._lock:
            (number,) = self._numbers.execute("SELECT number FROM numbers WHERE sha256 = ?", (sha256,)).fetchone()
        return glb(number)


def main() -> None:
    num_outcomes = int(sys.argv[1])
    store = EndlessStore(num_outcomes)
    prepared_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began_s, audit = time.monotonic(), Audit(Library(cast(ObjectStore, store)))
    defects = [*islice(audit.defects(), 3)]
    assert not defects, defects
    assert (audit.num_outcomes, audit.num_views) == (num_outcomes, num_outcomes)

    figures = {
        "outcomes": num_outcomes,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "prepared_mib": round(prepared_mib, 1),
        "outcomes_per_s": round(num_outcomes / (time.monotonic() - began_s), 1),
        "processor_s": round(time.process_time(), 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
