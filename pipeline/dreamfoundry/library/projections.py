"""Stage 9 as a whole: named views, latest pointers, catalog and page, all made from outcomes and records of rows.

A run and `dreamfoundry verify --rebuild` end here both, so what is lost comes back byte for byte.

**Why several runs at once leave them up to date.** Whoever writes them looks at `TURN` first, then reads everything,
writes catalog and page, and last swaps `TURN` for a word of his own if it is still the one that he saw; else he
begins again. So whoever was last to swap it had read everything after all other swaps, and whoever knows something
that he had not read has a swap of his own ahead. Who is killed before his swap may leave an older catalog: the next
run, or a rebuild, writes it anew.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from io import BufferedIOBase
from tempfile import TemporaryFile
from typing import TypeVar

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.identity import canonical_json
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
from dreamfoundry.library.views import has_view, write_view
from dreamfoundry.object_store.protocol import JSON, at_once
from dreamfoundry.records import Outcome

T = TypeVar("T")

TURN = "catalog/turn.json"
"""Says who was the last to write catalog and page, and no more than that: the content is random."""

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

    last_turn = _last_turn(library)
    outcomes = counted("outcomes read", library.outcomes(), on_progress)
    with Entries(outcomes, recorded_aliases(library), recorded_rows(library)) as entries:
        _record(library, run_id, entries, rows, bad_rows)
        _write_new_views(library, entries, on_progress)
        is_written = _write_summaries(library, entries, last_turn)

    while not is_written:
        last_turn = _last_turn(library)
        with entries_of(library, counted("outcomes read", library.outcomes(), on_progress)) as entries:
            _write_new_views(library, entries, on_progress)
            is_written = _write_summaries(library, entries, last_turn)


def counted(what: str, items: Iterable[T], on_progress: OnProgress) -> Iterator[T]:
    """`items` as they are, with their number told after each."""
    for number, item in enumerate(items, start=1):
        yield item
        on_progress(what, number)


def catalog_entries(library: Library) -> Iterator[CatalogEntry]:
    """Rows of the catalog as last written; none unless its page was written after it.

    The two are written last, so whatever they show has its views and its pointer.
    """
    with TemporaryFile() as file:
        try:
            head = library.store.get(contact_sheet.KEY)[: contact_sheet.HEAD_BYTES]
            if not contact_sheet.names_a_catalog(head):
                raise ObjectCorrupt(f"{contact_sheet.KEY}: is no page of this version; written again")
        except ObjectMissing:
            return
        except ObjectCorrupt as error:
            library.on_unreadable(contact_sheet.KEY, error)
            return

        try:
            library.store.get_file(catalog.KEY, file)
            if not contact_sheet.names_catalog(head, _digest(file)):
                if catalog.is_whole(file):
                    return  # another run is between the two
                raise ObjectCorrupt(f"{catalog.KEY}: is not the one that {contact_sheet.KEY} names")
        except (ObjectCorrupt, ObjectMissing) as error:
            library.on_unreadable(catalog.KEY, error)
            return
        yield from catalog.read(file)


def rebuild(library: Library) -> None:
    """Write every projection again, whatever is there. What cannot be read is left out: an audit tells it."""
    library = Library(library.store, lambda key, error: None)

    def show(entry: Entry) -> None:
        write_view(library, entry.outcome, entry.prompt_id)

    is_written = False
    while not is_written:
        last_turn = _last_turn(library)
        with entries_of(library, library.outcomes()) as entries:
            for _ in at_once(show, entries.published()):
                pass
            is_written = _write_summaries(library, entries, last_turn)


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


def _record(library: Library, run_id: str, entries: Entries, rows: Iterable[Row], bad_rows: Collection[str]) -> None:
    """Record what a run has seen that is new, and bring `entries` to what all records say then."""
    entries.add(rows, bad_rows)
    record_aliases(library, run_id, entries.new_pairs())
    record_rows(library, run_id, entries.take_changes())
    before = mended_rows(library)
    mended, found_again = entries.superseded_bad_rows() - before, before.intersection(bad_rows)
    if mended or found_again:
        record_bad_rows(library, run_id, mended=mended, found_again=found_again)

    # as a rebuild does it: where another run has recorded something meanwhile, the order of the records decides
    entries.complete(recorded_aliases(library), recorded_rows(library))
    entries.drop(mended_rows(library))


def _write_new_views(library: Library, entries: Entries, on_progress: OnProgress) -> None:
    """Write the named views that are not there yet; those that the catalog shows are."""

    def show(entry: Entry) -> None:
        if not has_view(library, entry.prompt_id, entry.outcome.asset_key):
            write_view(library, entry.outcome, entry.prompt_id)

    shown = catalog_entries(library)
    entries.mark_cataloged((row.prompt_id, row.asset_key) for row in shown if row.state == "published")
    for _ in counted("named views written", at_once(show, entries.published(unless_cataloged=True)), on_progress):
        pass


def _digest(file: BufferedIOBase) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _last_turn(library: Library) -> str | None:
    """The etag of `TURN`, None before the first writer, "" where nobody can read it."""
    try:
        return library.store.read(TURN)[1]
    except ObjectMissing:
        return None
    except ObjectCorrupt as error:
        library.on_unreadable(TURN, error)
        return ""


def _write_summaries(library: Library, entries: Entries, last_turn: str | None) -> bool:
    """Write catalog and page; False where somebody else has written them since `last_turn` was the last."""
    store, turn = library.store, canonical_json({"schema": "turn.v1", "turn": secrets.token_hex(16)})
    for key, file, media_type in summaries(entries, recorded_lost_rows(library)):
        if not store.holds_file(key, file):
            store.put_file(key, file, media_type)

    if last_turn is None:
        return store.create(TURN, turn, JSON)
    if not last_turn:
        store.put(TURN, turn, JSON)
        return True
    return store.replace(TURN, turn, JSON, last_turn)
