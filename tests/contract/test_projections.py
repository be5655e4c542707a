"""The last stage of a run needs the same memory for a library of any size."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dreamfoundry import catalog
from dreamfoundry.entries import Entries
from dreamfoundry.library import page
from dreamfoundry.projections import publish_projections, summaries
from dreamfoundry.records import BlobRef, Outcome
from dreamfoundry.store import DirectoryStore, Library
from dreamfoundry.store.outcomes import outcome_key, outcome_to_json, view_key

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


@dataclass(frozen=True)
class Published:
    """A library after its last stage, and how much memory that took of Python."""

    library: Library
    peak_bytes: int


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return published(NUM_FEW, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return published(NUM_MANY, tmp_path_factory.mktemp("many"))


def published(num_outcomes: int, folder: Path) -> Published:
    library = library_of(num_outcomes, folder)
    rows = ((found.prompt_id, found.asset_key) for found in map(outcome, range(num_outcomes)))
    with peak_bytes_of_python() as peak_bytes:
        publish_projections(library, "run-1", rows)
        return Published(library, peak_bytes())


def whole(file: io.BufferedIOBase) -> bytes:
    file.seek(0)
    return file.read()


def test_31_the_last_stage_needs_no_more_memory_for_a_bigger_library(few: Published, many: Published) -> None:
    num_more = NUM_MANY - NUM_FEW
    with peak_bytes_of_python() as peak_bytes:
        held = list(islice(many.library.outcomes(), num_more))
        held_bytes = peak_bytes()

    assert len(held) == num_more
    assert many.peak_bytes - few.peak_bytes < 0.05 * held_bytes, (few, many, held_bytes)


def test_a_catalog_of_several_groups_has_all_rows_in_their_order(many: Published) -> None:
    table = pq.read_table(io.BytesIO(many.library.store.get(catalog.KEY)))

    assert table["prompt_id"].to_pylist() == [f"row-{number:06}" for number in range(NUM_MANY)]


def test_a_page_shows_no_more_cards_than_it_may() -> None:
    with Entries(map(outcome, range(page.MAX_CARDS + 1)), []) as entries:
        (html,) = [whole(file) for key, file, _ in summaries(entries) if key == page.KEY]

    assert html.count(b"<article") == page.MAX_CARDS
    assert b"2501 published, 2500 quarantined; here are the 5000 latest" in html
