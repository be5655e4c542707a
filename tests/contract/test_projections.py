"""The last stage of a run needs the same memory for a library of any size."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from dreamfoundry.library import catalog, contact_sheet
from dreamfoundry.library.entries import Entries
from dreamfoundry.library.library import Library, outcome_key, outcome_to_json, view_key
from dreamfoundry.library.lost_rows import NONE_LOST
from dreamfoundry.library.projections import publish_projections, summaries
from dreamfoundry.library.rows import Row
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import BlobRef, Outcome

NUM_FEW, NUM_MANY = catalog.ROWS_PER_GROUP, 2 * catalog.ROWS_PER_GROUP


def outcome(number: int) -> Outcome:
    """Every second one is given up. A long prompt makes it as big as a real one, and quick to read."""
    return Outcome(
        f"{number * 2**240:064x}",
        f"{number:064x}",
        f"row-{number:06}",
        f"{number}: a " + "very " * 500 + "small toy",
        "quarantined" if number % 2 else "published",
        slug="a",
        files={"thumbnail.png": BlobRef(f"{number:064x}", 1234, "image/png")},
        provenance={"created_at": f"2025-01-01T00:00:{number % 60:02}Z"},
    )


def library_of(num_outcomes: int, folder: Path) -> Library:
    """Written without syncing, views and all, as exporters leave it behind."""
    for found in map(outcome, range(num_outcomes)):
        contents = {outcome_key(found.asset_key): outcome_to_json(found)}
        if found.state == "published":
            contents[view_key(found.prompt_id, found.asset_key, "view.json")] = b"{}"
        for key, data in contents.items():
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(data)
    return Library(DirectoryStore(folder))


@contextmanager
def peak_bytes_of_python() -> Iterator[Callable[[], int]]:
    tracemalloc.start()
    began_bytes = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - began_bytes
    finally:
        tracemalloc.stop()


def measure(folder: Path) -> dict[str, int]:
    """Peaks of Python's memory while a small and a bigger library are published, and what holding would take."""
    figures = {}
    for name, num_outcomes in (("few", NUM_FEW), ("many", NUM_MANY)):
        library = library_of(num_outcomes, folder / name)
        rows = (Row(found.prompt_id, found.asset_key) for found in map(outcome, range(num_outcomes)))
        with peak_bytes_of_python() as peak_bytes:
            publish_projections(library, "run-1", rows)
            figures[name] = peak_bytes()
    with peak_bytes_of_python() as peak_bytes:
        held = list(islice(library.outcomes(), NUM_MANY - NUM_FEW))
        figures["held"] = peak_bytes()
    assert len(held) == NUM_MANY - NUM_FEW
    return figures


def test_31_the_last_stage_needs_no_more_memory_for_a_bigger_library(tmp_path: Path) -> None:
    # in a process of its own: checking types takes many times as long while memory is traced
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "pipeline")}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bytes_of = json.loads(done.stdout)

    assert bytes_of["many"] - bytes_of["few"] < 0.05 * bytes_of["held"], bytes_of
    catalog_file = tmp_path / "many" / catalog.KEY
    assert pq.read_table(catalog_file)["prompt_id"].to_pylist() == [f"row-{number:06}" for number in range(NUM_MANY)]


def whole(file: io.BufferedIOBase) -> bytes:
    file.seek(0)
    return file.read()


def test_a_page_shows_no_more_cards_than_it_may() -> None:
    with Entries(map(outcome, range(contact_sheet.MAX_CARDS + 1)), []) as entries:
        (html,) = [whole(file) for key, file, _ in summaries(entries, NONE_LOST) if key == contact_sheet.KEY]

    assert html.count(b"<article") == contact_sheet.MAX_CARDS
    assert b"2501 published, 2500 quarantined; here are the 5000 latest" in html


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
