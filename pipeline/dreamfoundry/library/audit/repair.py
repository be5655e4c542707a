"""Repair of a library: each defect that an audit finds is mended where that can be done without making it worse.

    record      set aside; what it said is found out again by the next run of its manifest, or nobody needs it
    blob        brought back from the trash, or from a named view that has its bytes; else the record that names it is
                set aside, so the next run exports the asset again, or optimises the field again
    asset       its outcome is set aside: the next run makes it anew
    stranger    its prompt id is recorded, where its asset was published
    projection  made again

Left alone are records of another version and assets that a gate had refused: somebody has to look at those. What is
set aside lies under `SET_ASIDE` until garbage is collected. Safe while runs are at work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.audit.defects import Defect
from dreamfoundry.library.audit.projection_check import difference
from dreamfoundry.library.audit.small_records import Parse
from dreamfoundry.library.library import (
    OUTCOMES,
    SET_ASIDE,
    Library,
    outcome_from_json,
    outcome_key,
    trash_key,
    view_key,
)
from dreamfoundry.library.projections import rebuild
from dreamfoundry.library.record_json import read
from dreamfoundry.library.rows import record_aliases, recorded_aliases
from dreamfoundry.records import BlobRef


@dataclass(frozen=True)
class Mended:
    """Something that was done about the object `key`."""

    key: str
    deed: str


def repair(library: Library, repair_id: str, run_records: Mapping[str, Parse] | None = None) -> Iterator[Mended]:
    """Mend what can be mended; tells everything that was done.

    `repair_id` stands where the id of a run stands in records of prompt ids.
    """
    library = Library(library.store, lambda key, error: None)  # the audit tells what cannot be read
    set_aside: set[str] = set()
    adopted: list[tuple[str, str]] = []
    for defect in Audit(library, run_records).defects():
        if defect.kind in ("record", "asset"):
            yield from _set_aside(library, defect.key, set_aside)
        elif defect.kind == "blob":
            yield from _mend_blob(library, defect, set_aside)
        elif defect.kind == "stranger":
            prompt_id, asset_key = defect.key.split("/")[1:3]
            if library.store.exists(outcome_key(asset_key)):
                adopted.append((prompt_id, asset_key))

    if adopted:
        record_aliases(library, repair_id, adopted)
        yield from (Mended(f"assets/{prompt_id}", f"recorded as a prompt id of {key}") for prompt_id, key in adopted)
    rebuild(library)
    yield Mended("views, pointers, catalog and page", "made from the outcomes")


def _set_aside(library: Library, key: str, known: set[str]) -> Iterator[Mended]:
    """Take a record out of the way, once, and keep its bytes for a while if they can be copied."""
    if key in known:
        return
    known.add(key)
    try:
        library.store.copy(key, f"{SET_ASIDE}{key}")
    except ObjectMissing:
        return  # somebody was faster
    library.store.delete(key)
    yield Mended(key, f"set aside as {SET_ASIDE}{key}")


def _mend_blob(library: Library, defect: Defect, set_aside: set[str]) -> Iterator[Mended]:
    ref = defect.ref
    if ref is None:
        return
    for source in _copies(library, ref, defect.namer):
        if not difference(library, source, ref):
            library.store.copy(source, defect.key)
            yield Mended(defect.key, f"brought back from {source}")
            return
    yield from _set_aside(library, defect.namer, set_aside)


def _copies(library: Library, ref: BlobRef, namer: str) -> Iterator[str]:
    """Keys under which the bytes of a blob may lie, too: the trash, then the views of the outcome that names it."""
    yield trash_key(ref.sha256)
    if not namer.startswith(OUTCOMES):
        return
    try:
        outcome = read(library.store, namer, outcome_from_json)
    except (ObjectCorrupt, ObjectMissing):
        return
    names = [name for name, other in outcome.files.items() if other.sha256 == ref.sha256]
    others = (prompt_id for prompt_id, asset_key in recorded_aliases(library) if asset_key == outcome.asset_key)
    for prompt_id in (outcome.prompt_id, *others):
        yield from (view_key(prompt_id, outcome.asset_key, name) for name in names)
