"""Check of a store for a library: the whole protocol, tried in the place of the library.

Each probe does to a few small objects what a run does, in the one place that a run may delete from
(`PROBES`), and looks at what the store makes of it. They are removed afterwards.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from dreamfoundry.errors import ObjectMissing, StoreUnavailable
from dreamfoundry.library.checkpoints import CHECKPOINTS
from dreamfoundry.library.garbage import PROBES
from dreamfoundry.library.library import blob_key, trash_key
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.object_store.s3.store import S3Store

MAX_SKEW_S = 60.0
"""Requests are refused from about 15 minutes on; a clock that is this wrong will get there."""

DAY_S = 86_400.0

_TEXT = "text/plain"
_WRITERS = 8


@dataclass(frozen=True)
class Verdict:
    """Result of one probe. "note" does not keep a run from using the store, "not ok" does."""

    mark: Literal["ok", "not ok", "note"]
    name: str
    words: str


class _Unfit(Exception):
    """A fault, and its remedy."""


class _Remark(Exception):
    """A note: worth knowing, although a run can do without."""


def examine(store: ObjectStore) -> Iterator[Verdict]:
    """All probes, one verdict each. Leaves nothing behind, or says what."""
    folder = f"{PROBES}{secrets.token_hex(4)}/"
    try:
        for name, probe in _PROBES.items():
            yield _verdict(name, probe, store, folder)
    finally:
        yield from _clean_up(store, folder)


def _verdict(name: str, probe: Callable[[ObjectStore, str], str], store: ObjectStore, folder: str) -> Verdict:
    try:
        return Verdict("ok", name, probe(store, folder))
    except _Remark as remark:
        return Verdict("note", name, str(remark))
    except (_Unfit, ObjectMissing, StoreUnavailable) as error:
        return Verdict("not ok", name, str(error))


def _clean_up(store: ObjectStore, folder: str) -> Iterator[Verdict]:
    try:
        for key in list(store.list(folder)):
            store.delete(key)
    except StoreUnavailable as error:
        yield Verdict("not ok", "cleaning up", f"objects under {folder} stay behind: {error}")


def _require(holds: bool, advice: str) -> None:
    if not holds:
        raise _Unfit(advice)


def _write_and_read(store: ObjectStore, folder: str) -> str:
    store.put(f"{folder}plain", b"plain", _TEXT)
    _require(store.get(f"{folder}plain") == b"plain", "other bytes came back than were written: use another store")
    stat = store.stat(f"{folder}plain")
    _require(stat is not None and stat.num_bytes == 5, f"its size came back as {stat}: use another store")
    return "what is written comes back"


def _absent(store: ObjectStore, folder: str) -> str:
    try:
        is_absent = store.stat(f"{folder}absent") is None
        store.get(f"{folder}absent")
    except ObjectMissing:
        _require(is_absent, "a missing object has a size: use another store")
        return "a missing object is told from a forbidden one"
    except StoreUnavailable as error:
        raise _Unfit(
            f"a missing object is answered with a refusal; the role needs s3:ListBucket also for requests without "
            f"a prefix, as in infra/iam_policy.json ({error})"
        ) from None
    raise _Unfit("a missing object has content: use another store")


def _names(store: ObjectStore, folder: str) -> str:
    long = f"{folder}{'p' * 128}/{'0' * 64}/{'s' * 40}_collision.glb"
    written = {long: b"1", f"{folder}A..b_c-.d": b"2", f"{folder}a..b_c-.d": b"3", f"{folder}-/_": b"4"}
    for key, data in written.items():
        store.put(key, data, _TEXT)
    for key, data in written.items():
        _require(store.get(key) == data, f"{key!r} holds what was written elsewhere: names must be told apart by case")
    return "long names, and names that differ by case only"


def _conditional_create(store: ObjectStore, folder: str) -> str:
    advice = "If-None-Match is ignored, so two runs would overwrite one another's outcomes: use another store"
    _require(store.create(f"{folder}once", b"first", _TEXT), "a new object could not be created")
    _require(not store.create(f"{folder}once", b"second", _TEXT), advice)
    _require(store.get(f"{folder}once") == b"first", advice)
    with ThreadPoolExecutor(_WRITERS) as pool:
        won = list(pool.map(lambda n: store.create(f"{folder}race", f"{n}".encode(), _TEXT), range(_WRITERS)))
    _require(won.count(True) == 1, f"{won.count(True)} of {_WRITERS} writers at once created one object; must be 1")
    return f"one of {_WRITERS} writers at once wins, and nobody overwrites"


def _conditional_replace(store: ObjectStore, folder: str) -> str:
    advice = "If-Match is ignored, so two runs would take the same lease: use another store"
    store.put(f"{folder}swap", b"one", _TEXT)
    _, etag = store.read(f"{folder}swap")
    _require(store.replace(f"{folder}swap", b"two", _TEXT, etag), "an unchanged object could not be replaced")
    _require(not store.replace(f"{folder}swap", b"three", _TEXT, etag), advice)
    _require(store.get(f"{folder}swap") == b"two", advice)
    return "only what is unchanged is replaced"


def _listing(store: ObjectStore, folder: str) -> str:
    keys = [f"{folder}list/{number}" for number in (10, 2, 33, 4, 5)]
    for key in keys:
        store.put(key, b"12", _TEXT)
    whole = list(store.list(f"{folder}list/"))
    _require(whole == sorted(keys), f"{whole} was listed of {keys}: listings lag or have no order")
    if isinstance(store, S3Store):
        paged = [stat.key for stat in store.stats(f"{folder}list/", page_keys=2)]
        _require(paged == sorted(keys), f"in pages of two {paged} was listed of {keys}: use another store")
    store.delete(keys[0])
    _require(keys[0] not in store.list(f"{folder}list/"), "a deleted object is still listed: listings lag")
    return "complete, in order, at once, and in pages"


def _copy(store: ObjectStore, folder: str) -> str:
    store.put(f"{folder}source", b"copied", _TEXT)
    store.copy(f"{folder}source", f"{folder}target")
    _require(store.get(f"{folder}target") == b"copied", "a copy has other bytes than its source: use another store")
    return "by the store itself"


def _delete(store: ObjectStore, folder: str) -> str:
    store.put(f"{folder}gone", b"", _TEXT)
    store.delete(f"{folder}gone")
    store.delete(f"{folder}gone")
    _require(not store.exists(f"{folder}gone"), "a deleted object is still there: use another store")
    return "leases can be forgotten"


def _parts(store: ObjectStore, folder: str) -> str:
    if not isinstance(store, S3Store):
        return "in one piece, however big"
    key = blob_key(secrets.token_hex(32))
    begun = store.begin_parts(key)
    store.discard(begun)
    return "can be begun and given up"


def _digests(store: ObjectStore, folder: str) -> str:
    if not isinstance(store, S3Store):
        return "bytes do not travel"
    if store.refuses_wrong_digests(f"{folder}digest"):
        return "bytes that were altered on the way are refused"
    return "the store takes bytes with a wrong SHA-256; the library proves every write itself, so this is safe"


def _clock(store: ObjectStore, folder: str) -> str:
    store.exists(f"{folder}clock")
    lead_s = store.now_s() - time.time()
    _require(abs(lead_s) <= MAX_SKEW_S, f"the store's clock is {lead_s:+.0f} s from ours: set this machine's by NTP")
    return f"{abs(lead_s):.0f} s from that of this machine"


def _garbage(store: ObjectStore, folder: str) -> str:
    """Delete keys that do not exist: that tests the permission and changes nothing."""
    nobody = secrets.token_hex(32)
    try:
        for key in (blob_key(nobody), trash_key(nobody), f"{CHECKPOINTS}{nobody[:2]}/{nobody}/0.json"):
            store.delete(key)
        list(store.unfinished())
    except StoreUnavailable as error:
        raise _Remark(
            f"these credentials build, but cannot run `dreamfoundry gc`; that needs infra/iam_policy_gc.json ({error})"
        ) from None
    return "these credentials may also run `dreamfoundry gc`"


def _uploads(store: ObjectStore, folder: str) -> str:
    try:
        old = [upload for upload in store.unfinished() if store.now_s() - upload.began_s > DAY_S]
    except StoreUnavailable:
        raise _Remark("these credentials cannot list them") from None
    if old:
        raise _Remark(f"{len(old)} are older than a day and cost money: `dreamfoundry gc --delete` takes them away")
    return "none older than a day"


_PROBES: dict[str, Callable[[ObjectStore, str], str]] = {
    "writing and reading": _write_and_read,
    "missing objects": _absent,
    "names": _names,
    "conditional create": _conditional_create,
    "conditional replace": _conditional_replace,
    "listing": _listing,
    "copying": _copy,
    "deleting": _delete,
    "big objects": _parts,
    "digests": _digests,
    "clock": _clock,
    "garbage": _garbage,
    "unfinished uploads": _uploads,
}
