"""A library in another time, and collections of its garbage."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dreamfoundry.library.garbage import find_garbage, remove_garbage
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import BlobRef, Outcome

TEXT = "text/plain"
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
FIELD = "cd" * 32


class DatedStore(DirectoryStore):
    """A directory in another time: `clock_s` says what its files are dated and what it is now."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.clock_s = 1_000_000_000.0

    def now_s(self) -> float:
        return self.clock_s

    @contextmanager
    def _staged(self, source: io.BufferedIOBase) -> Iterator[Path]:
        with super()._staged(source) as path:
            os.utime(path, (self.clock_s, self.clock_s))
            yield path


def published(*blobs: BlobRef, key: str = "ab" * 32, **changes: Any) -> Outcome:
    files = {f"{number}.bin": ref for number, ref in enumerate(blobs)}
    return Outcome(key, FIELD, "row-1", "a red chair", "published", files=files, **changes)


def later(store: DatedStore, seconds: float = WEEK_S + 1.0) -> None:
    store.clock_s += seconds


def collect(library: Library, min_age_s: float = WEEK_S) -> list[tuple[str, str]]:
    """(what was done, to which kind of thing) by a collection."""
    return [(step.verb, step.thing.kind) for step in remove_garbage(library, min_age_s)]


def kinds(library: Library, min_age_s: float = WEEK_S) -> list[str]:
    return [thing.kind for thing in find_garbage(library, min_age_s)]
