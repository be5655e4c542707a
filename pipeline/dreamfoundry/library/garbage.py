"""Garbage collection: unneeded objects go to the trash, and come back if a record names them after all.

Garbage is, once it is old (`min_age_s`, by the store's own time of last change):

    blobs        that no outcome or field record names
    trash        blobs that were taken away that long ago, records that a repair has set aside
    checkpoints  of decided fields
    leases       of decided fields, and what a killed `doctor` left beside them
    uploads      that were begun and never finished

**Why no blob is lost that an outcome names, while runs publish at the same time.** Age alone
protects what is being made: a blob is younger than `min_age_s` when its outcome appears, unless
publishing takes days. The difficulty is an old orphan that a run makes again, finds "already there"
and names. Four habits, two on each side, close it:

1. A writer renews what is older than `RENEWED_AFTER_S` (`Library.put_blob`), so it looks new here.
2. We list blobs first and read outcomes and fields after; so whatever was named before we began to
   read is known. Right before a blob is moved we look at its age again. (Checkpoints name no blobs:
   each holds its own bytes.)
3. A writer names, then looks: after its conditional create it looks for every blob that it named
   and brings back from the trash what is gone (`Library.publish`).
   We move, then look: after the last move we read what was named in the meantime and bring it back.
   Whichever comes second sees the first, so between them every such blob comes back.
4. A writer also looks before it names. So an outcome never appears over a blob that had gone by then.

What remains: a reader may meet an outcome whose blob is in the trash, from our move until the look
after it; and if the writer dies between its create and its look, and the outcome appeared after our
own look, until the next collection, which begins by bringing back what is named. Bytes are lost only
to a process that sleeps for longer than `min_age_s` between two adjacent requests and then goes on.

References are the 64 hex digits of a digest anywhere in a record, so that a record of another
version still protects what it names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from dreamfoundry.errors import ObjectMissing
from dreamfoundry.library.checkpoints import CHECKPOINTS
from dreamfoundry.library.leases import LEASES
from dreamfoundry.library.library import BLOBS, FIELDS, OUTCOMES, RENEWED_AFTER_S, TRASH, Library, blob_key, trash_key
from dreamfoundry.object_store.protocol import ObjectStat, ObjectStore, Unfinished, at_once

PROBES = f"{LEASES}doctor-"

MIN_AGE_S = 2.0 * RENEWED_AFTER_S
"""No garbage is younger: a writer has half of this between storing a blob and naming it."""

_ALL_TRASH = "trash/"
"""Blobs, and what a repair has set aside."""

_CLOCK_SLACK_S = 3600.0
"""What is read again after the moves goes back this far, for stores whose machines disagree on the time."""

Kind = Literal["blob", "trash", "checkpoint", "lease", "upload"]


@dataclass(frozen=True)
class Garbage:
    """One thing that nothing needs. `name` is that of an upload, "" for all else."""

    kind: Kind
    key: str
    num_bytes: int
    age_s: float
    name: str = ""


@dataclass(frozen=True)
class Step:
    """Something that was done: a thing removed (a blob: into the trash), spared or brought back."""

    verb: Literal["removed", "spared", "restored"]
    thing: Garbage


@dataclass
class _References:
    """Digests that records name, and the fields that are decided."""

    digests: set[str] = field(default_factory=set)
    decided: set[str] = field(default_factory=set)


def find_garbage(library: Library, min_age_s: float) -> list[Garbage]:
    """Everything that `remove_garbage` would look at, by kind and key; changes nothing."""
    store = library.store
    now_s = store.now_s()
    blobs, trash, checkpoints, leases = (
        [stat for stat in store.stats(prefix) if now_s - stat.modified_s >= min_age_s]
        for prefix in (BLOBS, _ALL_TRASH, CHECKPOINTS, LEASES)
    )
    uploads = [upload for upload in store.unfinished() if now_s - upload.began_s >= min_age_s]
    known = _references(store)

    def things(kind: Kind, stats: Iterable[ObjectStat]) -> Iterator[Garbage]:
        for stat in stats:
            yield Garbage(kind, stat.key, stat.num_bytes, now_s - stat.modified_s)

    return [
        *things("blob", (stat for stat in blobs if _digest(stat.key) not in known.digests)),
        *things("trash", trash),
        *things("checkpoint", (stat for stat in checkpoints if _field_key(stat.key) in known.decided)),
        *things(
            "lease",
            (stat for stat in leases if _field_key(stat.key) in known.decided or stat.key.startswith(PROBES)),
        ),
        *(Garbage("upload", upload.key, 0, now_s - upload.began_s, upload.name) for upload in uploads),
    ]


def remove_garbage(library: Library, min_age_s: float) -> Iterator[Step]:
    """Remove what is garbage now; tells every step as it is done.

    `min_age_s` must be at least `MIN_AGE_S`: ValueError.
    """
    if min_age_s < MIN_AGE_S:
        raise ValueError(f"min_age_s = {min_age_s:g}: must be at least {MIN_AGE_S:g}, the age that runs count on")
    store = library.store
    began_s = store.now_s()
    yield from _restore_named(library, _references(store).digests)
    for thing in find_garbage(library, min_age_s):
        yield Step("removed" if _remove(store, thing, min_age_s) else "spared", thing)
    yield from _restore_named(library, _references(store, began_s - _CLOCK_SLACK_S).digests)


def _remove(store: ObjectStore, thing: Garbage, min_age_s: float) -> bool:
    """Remove it if it is still there and still old: the last look is the request before."""
    if thing.kind == "upload":
        store.discard(Unfinished(thing.key, thing.name, 0.0))
        return True
    stat = store.stat(thing.key)
    if stat is None or store.now_s() - stat.modified_s < min_age_s:
        return False
    if thing.kind == "blob":
        try:
            store.copy(thing.key, trash_key(_digest(thing.key)))
        except ObjectMissing:  # another collection was faster
            return False
    store.delete(thing.key)
    return True


def _restore_named(library: Library, digests: set[str]) -> Iterator[Step]:
    """Bring back from the trash what is named and gone."""
    store = library.store
    for stat in store.stats(TRASH):
        digest = _digest(stat.key)
        if digest in digests and not store.exists(blob_key(digest)):
            store.copy(stat.key, blob_key(digest))
            yield Step("restored", Garbage("blob", blob_key(digest), stat.num_bytes, store.now_s() - stat.modified_s))


def _references(store: ObjectStore, changed_since_s: float = -math.inf) -> _References:
    """The digests named by records that have changed since then."""

    def read(key: str) -> tuple[str, bytes]:
        try:
            return key, store.get(key)
        except ObjectMissing:  # deleted by hand since it was listed
            return key, b""

    references = _References()
    for prefix in (OUTCOMES, FIELDS):
        changed = (stat.key for stat in store.stats(prefix) if stat.modified_s >= changed_since_s)
        for key, data in at_once(read, changed):
            references.digests.update(match.decode() for match in re.findall(rb"[0-9a-f]{64}", data))
            references.decided.add(_field_key_in(data) if prefix == OUTCOMES else _field_key(key))
    references.decided.discard("")
    return references


def _field_key_in(outcome: bytes) -> str:
    """The field that an outcome decides, "" where this version cannot tell."""
    try:
        values = json.loads(outcome)
    except ValueError:
        return ""
    return str(values.get("field_key", "")) if isinstance(values, dict) else ""


def _digest(key: str) -> str:
    """The digest that the key of a blob, or its place in the trash, is made of."""
    return "".join(key.split("/")[2:])


def _field_key(key: str) -> str:
    """The field that a lease, a field record or a checkpoint belongs to; "" for keys of other forms."""
    parts = key.split("/")
    return parts[2].removesuffix(".json") if len(parts) > 2 else ""
