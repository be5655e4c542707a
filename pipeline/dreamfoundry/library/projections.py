"""Stage 9 as a whole: named views, latest pointers, catalog and page, all made from outcomes and records of rows.

A run and `dreamfoundry verify --rebuild` end here both, so what is lost comes back byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from io import BufferedIOBase
from tempfile import TemporaryFile
from typing import TypeVar

from dreamfoundry.errors import ObjectMissing
from dreamfoundry.library import catalog, contact_sheet
from dreamfoundry.library.catalog import CatalogEntry
from dreamfoundry.library.entries import Entries, Entry
from dreamfoundry.library.library import Library
from dreamfoundry.library.lost_rows import LostRowsRecord, recorded_lost_rows
from dreamfoundry.library.rows import (
    Row,
    mended_rows,
    record_aliases,
    record_bad_rows,
    record_rows,
    recorded_aliases,
    recorded_rows,
)
from dreamfoundry.object_store.protocol import at_once
from dreamfoundry.records import Outcome

T = TypeVar("T")

OnProgress = Callable[[str, int], None]
"""Told what is counted, and how many so far; what it raises ends the work."""


def publish_projections(
    library: Library,
    run_id: str,
    rows: Iterable[Row],
    bad_rows: Collection[str] = (),
    on_progress: OnProgress = lambda counted, number: None,
) -> None:
    """Bring all projections up to date with the outcomes.

    `rows` are those of a run, `bad_rows` the asset keys of its bad ones. Rows that stand under another prompt id
    in their outcome are recorded as aliases, and what has changed of rows for the catalog (`library.rows`); views
    that exist are not written again. A stop in between loses nothing: the next run, or a rebuild, goes on.
    """

    def show(entry: Entry) -> None:
        if not library.has_view(entry.prompt_id, entry.outcome.asset_key):
            library.write_view(entry.outcome, entry.prompt_id)

    outcomes = counted("outcomes read", library.outcomes(), on_progress)
    with Entries(outcomes, recorded_aliases(library), recorded_rows(library)) as entries:
        entries.add(rows, bad_rows)
        record_aliases(library, run_id, entries.new_pairs())
        record_rows(library, run_id, entries.take_changes())
        entries.drop(_record_bad_rows(library, run_id, entries, bad_rows))
        entries.mark_cataloged(
            (row.prompt_id, row.asset_key) for row in catalog_entries(library) if row.state == "published"
        )
        for _ in counted("named views written", at_once(show, entries.published(unless_cataloged=True)), on_progress):
            pass
        _write_summaries(library, entries)


def counted(what: str, items: Iterable[T], on_progress: OnProgress) -> Iterator[T]:
    """`items` as they are, with their number told after each."""
    for number, item in enumerate(items, start=1):
        yield item
        on_progress(what, number)


def catalog_entries(library: Library) -> Iterator[CatalogEntry]:
    """Rows of the catalog as last written; none unless its page was written after it.

    The two are written last, so whatever they show has its views and its pointer.
    """
    try:
        head = library.store.get(contact_sheet.KEY)[: contact_sheet.HEAD_BYTES]
        with TemporaryFile() as file:
            library.store.get_file(catalog.KEY, file)
            if contact_sheet.names_catalog(head, _digest(file)):
                yield from catalog.read(file)
    except ObjectMissing:
        return


def rebuild(library: Library) -> None:
    """Write every projection again, whatever is there."""

    def show(entry: Entry) -> None:
        library.write_view(entry.outcome, entry.prompt_id)

    with entries_of(library, library.outcomes()) as entries:
        for _ in at_once(show, entries.published()):
            pass
        _write_summaries(library, entries)


def entries_of(library: Library, outcomes: Iterable[Outcome]) -> Entries:
    """The entries of `outcomes` as the records of `library` complete them; bad rows that were mended are left out."""
    entries = Entries(outcomes, recorded_aliases(library), recorded_rows(library))
    entries.drop(mended_rows(library))
    return entries


def summaries(entries: Entries, lost: LostRowsRecord) -> Iterator[tuple[str, BufferedIOBase, str]]:
    """The files that speak of the whole library and of the rows that were `lost`: key, content, media type, in order.

    Each is gone from this machine when the next one is asked for.
    """
    with TemporaryFile() as file:
        catalog.write(entries, file)
        catalog_digest = _digest(file)
        yield catalog.KEY, file, catalog.MEDIA_TYPE
    with TemporaryFile() as file:
        contact_sheet.write(
            entries.latest(contact_sheet.MAX_CARDS),
            file,
            num_published=entries.count("published"),
            num_quarantined=entries.count("quarantined"),
            catalog_key=catalog.KEY,
            catalog_digest=catalog_digest,
            lost=lost,
        )
        yield contact_sheet.KEY, file, contact_sheet.MEDIA_TYPE


def _record_bad_rows(library: Library, run_id: str, entries: Entries, found: Collection[str]) -> frozenset[str]:
    """Record what has become of bad rows; returns all that are mended now."""
    before = mended_rows(library)
    mended, found_again = entries.superseded_bad_rows() - before, before.intersection(found)
    if mended or found_again:
        record_bad_rows(library, run_id, mended=mended, found_again=found_again)
    return (before | mended) - found_again


def _digest(file: BufferedIOBase) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _write_summaries(library: Library, entries: Entries) -> None:
    for key, file, media_type in summaries(entries, recorded_lost_rows(library)):
        if not library.store.holds_file(key, file):
            library.store.put_file(key, file, media_type)
