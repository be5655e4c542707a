"""Everything beside outcomes and fields that is no projection: records of rows, leases, checkpoints, runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing, OtherVersion
from dreamfoundry.library.audit.defects import Defect
from dreamfoundry.library.audit.named_blobs import digest_of
from dreamfoundry.library.checkpoints import CHECKPOINTS
from dreamfoundry.library.leases import LEASES, lease_from_json, lease_key
from dreamfoundry.library.library import Library
from dreamfoundry.library.lost_rows import LOST_ROWS, lost_rows_from_json
from dreamfoundry.library.rows import ALIASES, BAD_ROWS, ROWS, aliases_from_json, bad_rows_from_json, rows_from_json
from dreamfoundry.object_store.protocol import at_once

Parse = Callable[[str, bytes], object]
"""Reads the record in the bytes of a key; ObjectCorrupt for anything else."""

REPAIR = "run `dreamfoundry verify --repair`"


def _lease(key: str, data: bytes) -> object:
    lease = lease_from_json(data)
    if lease_key(lease.key) != key:
        raise ObjectCorrupt(f"is about {lease.key}")
    return lease


RECORDS: Mapping[str, tuple[Parse, str]] = {
    ALIASES: (lambda key, data: aliases_from_json(data), f"{REPAIR}, and the manifests again"),
    ROWS: (lambda key, data: rows_from_json(data), f"{REPAIR}, and the manifests again"),
    BAD_ROWS: (lambda key, data: bad_rows_from_json(data), f"{REPAIR}, and the manifests again"),
    LOST_ROWS: (lambda key, data: lost_rows_from_json(data), f"{REPAIR}, and the manifests again"),
    LEASES: (_lease, f"{REPAIR}, or leave it: runs take it as free"),
}
"""How records are read, and what to do with one that cannot be, by where they begin."""


def unreadable(key: str, error: Exception, remedy: str) -> Defect:
    """The defect of a record that cannot be read; one of another version is left alone."""
    if isinstance(error, OtherVersion):
        return Defect(key, str(error), "read it with the version it names", "version")
    return Defect(key, str(error), remedy, "record")


def small_record_defects(library: Library, runs: Mapping[str, Parse]) -> Iterator[Defect]:
    """All that cannot be read; `runs` says how to read the records of runs, by where they begin."""
    more = {prefix: (parse, f"{REPAIR}, or leave it: nothing depends on it") for prefix, parse in runs.items()}
    for prefix, (parse, remedy) in {**RECORDS, **more}.items():
        yield from _unreadable_below(library, prefix, parse, remedy)

    for defect in at_once(lambda key: _check_checkpoint(library, key), library.store.list(CHECKPOINTS)):
        if defect is not None:
            yield defect


def _unreadable_below(library: Library, prefix: str, parse: Parse, remedy: str) -> Iterator[Defect]:
    def check(key: str) -> Defect | None:
        try:
            parse(key, library.store.get(key))
        except ObjectMissing:
            return None  # gone since it was listed, as leases go
        except ObjectCorrupt as error:
            return unreadable(key, error, remedy)
        return None

    for defect in at_once(check, library.store.list(prefix)):
        if defect is not None:
            yield defect


def _check_checkpoint(library: Library, key: str) -> Defect | None:
    """A checkpoint has its digest in its name; what its bytes mean is known to the distillers only."""
    try:
        found = digest_of(library.store, key)
    except ObjectMissing:
        return None  # its field is finished, or has newer ones
    except ObjectCorrupt as error:
        return unreadable(key, error, f"{REPAIR}, or leave it: the one before it serves")
    if found.sha256 in key:
        return None
    problem = f"its {found.num_bytes} bytes have SHA-256 {found.sha256}, which is not in its name"
    return Defect(key, problem, f"{REPAIR}, or leave it: the one before it serves", "record")
