"""Views, pointers, catalog and page against the outcomes that they are made from.

Runs write them last. While a run is at work, what it has decided may not be shown yet: that is no defect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.library.audit.defects import Defect
from dreamfoundry.library.audit.named_blobs import digest_of
from dreamfoundry.library.entries import Entries, Entry
from dreamfoundry.library.library import RUNS, VIEW_FILE, Library, latest_key, view_key
from dreamfoundry.library.lost_rows import recorded_lost_rows
from dreamfoundry.library.projections import summaries
from dreamfoundry.library.views import latest_json, view_json, views
from dreamfoundry.object_store.protocol import at_once
from dreamfoundry.records import BlobRef

T = TypeVar("T")

REBUILD = "run `dreamfoundry verify --rebuild`"

SILENT_S = 300.0
"""A run that has left no report, and has written nothing about itself for so long, is not at work any more."""

_AGAIN_S = 5.0
_REPORT = "/report.json"


class ProjectionCheck:
    """Compares `entries` with what the library shows. `num_views` counts named views that were looked at."""

    def __init__(self, library: Library, entries: Entries) -> None:
        self._library, self._entries = library, entries
        self.num_views = 0

    def defects(self, runs: LiveRuns) -> Iterator[Defect]:
        """All differences; ends early once a run comes to work, whose results would look like some."""
        for defect in self._differences():
            if runs.find():
                return
            yield defect

    def _differences(self) -> Iterator[Defect]:
        yield from found(self._check_view, self._counted(self._entries.published()))
        yield from self._check_strangers()
        current = (entry for entry in self._entries.published() if entry.is_current)
        yield from found(self._check_latest, current)

        store = self._library.store
        for key, file, _ in summaries(self._entries, recorded_lost_rows(self._library)):
            if not store.holds_file(key, file):
                yield _is_other(key) if store.exists(key) else _is_missing(key)

    def _counted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self.num_views += 1
            yield entry

    def _check_view(self, entry: Entry) -> Defect | None:
        prompt_id, outcome = entry.prompt_id, entry.outcome
        for name, ref in sorted(outcome.files.items()):
            key = view_key(prompt_id, outcome.asset_key, name)
            problem = difference(self._library, key, ref)
            if problem:
                return Defect(key, problem, REBUILD, "projection")
        return self._compare(view_key(prompt_id, outcome.asset_key, VIEW_FILE), view_json(outcome, prompt_id))

    def _check_strangers(self) -> Iterator[Defect]:
        for prompt_id, asset_key in views(self._library):
            if not self._entries.has_published(prompt_id, asset_key):
                yield Defect(
                    view_key(prompt_id, asset_key, VIEW_FILE),
                    "shows what no outcome says was published under this prompt id",
                    "run its manifest again, which records the prompt id, or delete the view",
                    "stranger",
                )

    def _check_latest(self, latest: Entry) -> Defect | None:
        return self._compare(latest_key(latest.prompt_id), latest_json(latest.outcome, latest.prompt_id))

    def _compare(self, key: str, expected: bytes) -> Defect | None:
        try:
            return None if self._library.store.get(key) == expected else _is_other(key)
        except ObjectMissing:
            return _is_missing(key)
        except ObjectCorrupt as error:
            return Defect(key, str(error), REBUILD, "projection")


class LiveRuns:
    """Runs that have been at work at any time since this was made, by the records that they keep of themselves."""

    def __init__(self, library: Library, silent_s: float = SILENT_S) -> None:
        self._store, self._silent_s, self._began_s = library.store, silent_s, library.store.now_s()
        self._known: set[str] = set()
        self._looked_s = float("-inf")
        self.find()

    def find(self) -> list[str]:
        """Their ids so far; looks again after some seconds."""
        if time.monotonic() - self._looked_s > _AGAIN_S:
            self._search()
            self._looked_s = time.monotonic()
        return sorted(self._known)

    def _search(self) -> None:
        written_s: dict[str, float] = {}
        ended_s: dict[str, float] = {}
        for stat in self._store.stats(RUNS):
            times_s = ended_s if stat.key.endswith(_REPORT) else written_s
            times_s[stat.key.split("/")[1]] = stat.modified_s

        now_s = self._store.now_s()
        silent = {run_id for run_id, at_s in written_s.items() if now_s - at_s > self._silent_s}
        self._known |= written_s.keys() - ended_s.keys() - silent
        self._known |= {run_id for run_id, at_s in ended_s.items() if at_s > self._began_s}


def difference(library: Library, key: str, ref: BlobRef) -> str:
    """The difference between the bytes of `key` and `ref`, in words; "" where there is none."""
    try:
        is_ = digest_of(library.store, key)
    except ObjectMissing:
        return "is missing"
    except ObjectCorrupt as error:
        return str(error)
    if is_.num_bytes != ref.num_bytes:
        return f"has {is_.num_bytes} bytes, must have {ref.num_bytes}"
    return "" if is_.sha256 == ref.sha256 else f"has SHA-256 {is_.sha256}, must have {ref.sha256}"


def found(check: Callable[[T], Defect | None], items: Iterable[T]) -> Iterator[Defect]:
    """The defects that `check` finds in `items`, several of which are looked at at a time."""
    return (defect for defect in at_once(check, items) if defect is not None)


def _is_missing(key: str) -> Defect:
    return Defect(key, "is missing", REBUILD, "projection")


def _is_other(key: str) -> Defect:
    return Defect(key, "is not what the outcomes say", REBUILD, "projection")
