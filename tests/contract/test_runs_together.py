"""Runs that end at the same time: whoever is last, the projections are those of all that was decided."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import RowError
from dreamfoundry.library import catalog
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import publish_projections
from dreamfoundry.library.rows import Row
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome
from dreamfoundry.run.outcomes import bad_row_outcome, publish


class Interleaving:
    """Lets one of several threads go on at a time, by a seeded choice at each of their requests."""

    def __init__(self, names: list[str], seed: int) -> None:
        self._draw, self._changed = random.Random(seed), Condition()
        self._alive = list(names)
        self._next = self._draw.choice(names)

    @contextmanager
    def taking_turns(self, name: str) -> Iterator[None]:
        """The life of one thread."""
        try:
            yield
        finally:
            with self._changed:
                self._alive.remove(name)
                self._choose()

    def wait(self, name: str) -> None:
        """Let others go on, until it is the turn of this thread."""
        with self._changed:
            while self._next != name:
                assert self._changed.wait(20.0), "nobody goes on"
            self._choose()

    def _choose(self) -> None:
        if self._alive:
            self._next = self._draw.choice(self._alive)
        self._changed.notify_all()


class SteppedStore(DirectoryStore):
    """A directory whose reads and writes of what matters here wait for their turn."""

    def __init__(self, root: Path, wait: Callable[[], None]) -> None:
        super().__init__(root)
        self._wait = wait

    def list(self, prefix: str = "") -> Iterator[str]:
        self._wait()
        return iter([*super().list(prefix)])

    def put(self, key: str, data: bytes, media_type: str) -> None:
        self._wait()
        super().put(key, data, media_type)

    def put_file(self, key: str, file: io.BufferedIOBase, media_type: str) -> None:
        self._wait()
        super().put_file(key, file, media_type)

    def replace(self, key: str, data: bytes, media_type: str, expected_etag: str) -> bool:
        self._wait()  # not in `read`, which this calls under its lock
        return super().replace(key, data, media_type, expected_etag)


def run(folder: Path, name: str, number: int, turns: Interleaving) -> None:
    """A run without its workers: decides some assets and a bad row, then publishes, two times."""
    with turns.taking_turns(name):
        library = Library(SteppedStore(folder, lambda: turns.wait(name)))
        for half in range(2):
            run_id = f"20260101T00000{number}Z-{half}{name}"
            keys = [f"{number + 1:02x}{half:02x}{asset:02x}" + "ab" * 29 for asset in range(2)]
            for key in keys:
                turns.wait(name)
                library.publish(Outcome(key, "", f"of-{key[:6]}", "a", "published", provenance={"run_id": run_id}))

            error = RowError("row 1", row=1, prompt_id="bad", prompt="fog", content="xy"[half] * 64)
            bad = publish(library, bad_row_outcome(error, {"run_id": run_id}), None).asset_key
            rows = [Row(f"also-{key[:6]}", key) for key in keys]
            rows.append(Row("shared", "01" + "00" * 2 + "ab" * 29, tags=(name,)))
            publish_projections(library, run_id, rows, [bad] if number == 0 else [])


@pytest.mark.parametrize("seed", [*range(40), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(40, 400))])
def test_48_after_the_last_of_several_runs_has_ended_verifying_finds_nothing(
    tmp_path: Path, seed: int, tried: Callable[[], None]
) -> None:
    tried()
    names = ["ann", "bob", "cid"][: 2 + seed % 2]
    turns = Interleaving(names, seed)
    with ThreadPoolExecutor(len(names)) as pool:
        for future in [pool.submit(run, tmp_path, name, number, turns) for number, name in enumerate(names)]:
            future.result()

    library = Library(DirectoryStore(tmp_path))
    defects = [defect for defect in Audit(library).defects() if "validation.json" not in defect.problem]
    assert defects == []
    shown = {row["prompt_id"] for row in pq.read_table(io.BytesIO(library.store.get(catalog.KEY))).to_pylist()}
    assert len(shown - {"bad", "shared"}) == 2 * 2 * 2 * len(names)
