"""From a request to the facts of its run: the manifest is copied and checked, the library opened, the work planned."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from dreamfoundry.diffusion.weights_cache import resolve_identity, weights_cache
from dreamfoundry.errors import MachineFault, ManifestError, Stopped, StoreUnavailable
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import OnProgress
from dreamfoundry.library.record_json import OnUnreadable
from dreamfoundry.manifest.private_copy import private_copy
from dreamfoundry.manifest.reader import ManifestReport, digest_of, prompt_ids, read_prompts, scan
from dreamfoundry.manifest.text import first_few
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.outcomes import now_text
from dreamfoundry.run.planning.plan import Plan
from dreamfoundry.run.planning.prompt_check import VocabularyCheck, vocabulary_check
from dreamfoundry.run.planning.resolution import PlanInputs
from dreamfoundry.run.progress import Progress
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.run_ids import next_run_id
from dreamfoundry.run.run_records import RunContext
from dreamfoundry.run.unreadable_keys import UnreadableKeys

MAX_NAMED = 20
"""Bad rows, and rows in conflict, that a message names; `--dry-run --list` names all."""


def stop_on_request(count: OnProgress, should_stop: Callable[[], bool], patience_s: float = 0.0) -> OnProgress:
    """Hands on to `count` what is counted, and raises Stopped once that is asked for, or `patience_s` seconds later."""
    end_s = math.inf

    def on_progress(counted: str, number: int) -> None:
        nonlocal end_s
        count(counted, number)
        if should_stop():
            end_s = min(end_s, time.monotonic() + patience_s)
        if time.monotonic() >= end_s:
            raise Stopped(f"after {number:,} {counted}")

    return on_progress


def check(request: RunRequest, folder: Path, progress: Progress, should_stop: Callable[[], bool]) -> RunContext:
    """Check everything that can be checked without starting anything, on a private copy of the manifest in `folder`.

    Raises InputError for a manifest that cannot be used, bad rows included, unless the request takes those, and
    Stopped soon after `should_stop` is true.
    """
    started_at = now_text()
    on_progress = stop_on_request(progress.count, should_stop)
    prior = resolve_identity(request.recipe.prior, weights_cache())
    vocabulary = vocabulary_check(request.recipe.prior)
    manifest = private_copy(
        request.manifest, folder, should_stop, store_s=request.limits.store_s, on_wait=progress.note
    )
    scanned = scan(
        manifest,
        vocabulary,
        request.recipe,
        address=request.manifest,
        should_stop=should_stop,
        on_progress=lambda number: on_progress("rows checked", number),
    )
    has_bad_rows = bool(scanned.row_errors) and not request.quarantine_bad_rows
    if (has_bad_rows or scanned.conflicts) and not request.is_dry:
        lines = _describe_bad_rows(scanned, request, vocabulary) if has_bad_rows else []
        raise ManifestError("\n".join([*lines, *_describe_conflicts(scanned, request, manifest)]))

    if not request.is_dry:  # else they are part of the forecast
        for subject, text in remarks(scanned):
            progress.note(f"{subject}: {text}")
    unreadable = UnreadableKeys()
    library = _open_library(request, folder, progress, unreadable)
    return RunContext(
        request=request,
        manifest=manifest,
        scan=scanned,
        prior=prior,
        library=library,
        unreadable=unreadable,
        progress=progress,
        on_progress=on_progress,
        run_id=next_run_id(library),
        started_at=started_at,
    )


def remarks(scanned: ManifestReport) -> Iterator[tuple[str, str]]:
    """(subject, sentence) of what a scan found beside the sound and the bad rows."""
    for lost in scanned.lost[:MAX_NAMED]:
        rows = f"{lost.first_row} to {lost.last_row}"
        yield "lost rows", f"{rows} ({lost.part}, row group {lost.row_group}): {lost.reason}"
    if len(scanned.lost) > MAX_NAMED:
        yield "lost rows", f"… and those of {len(scanned.lost) - MAX_NAMED:,} more row groups"
    if scanned.repeated:
        yield "repeated", f"{len(scanned.repeated):,} rows repeat an earlier one: each is made once"
    for item in scanned.not_read[:MAX_NAMED]:
        yield "not read", f"{item.name}: {item.reason}"
    if len(scanned.not_read) > MAX_NAMED:
        yield "not read", f"… and {len(scanned.not_read) - MAX_NAMED:,} more"
    if scanned.ignored_columns:
        yield "not read", f"columns {first_few(scanned.ignored_columns)}"
    for text in scanned.warnings:
        yield "warning", text


def conflicts(scanned: ManifestReport, manifest: Path) -> Iterator[str]:
    """Sentences about the first rows that have the id of another prompt; `manifest` is read for their ids."""
    pairs = list(islice(scanned.conflicts, MAX_NAMED))
    for (row, earlier), prompt_id in zip(pairs, prompt_ids(manifest, (row for row, _ in pairs)), strict=True):
        first, second = scanned.words_for(earlier), scanned.words_for(row)
        yield f"prompt_id {prompt_id!r} stands in {first} and {second} with different content"


def plan(context: RunContext) -> Plan:
    """Find out what there is to do. Raises MachineFault if the copy of the manifest is not what it was."""
    request = context.request
    planned = Plan(
        read_prompts(context.manifest, context.scan.skip_rows, request.recipe),
        context.library,
        PlanInputs(request.recipe, request.profile, context.prior, request.metadata_policy),
        retry_class=request.retry_class,
        on_progress=context.on_progress,
    )
    if planned.num_rows != context.scan.num_prompts or digest_of(context.manifest) != context.scan.digest:
        raise MachineFault(
            f"the copy of {request.manifest} had {context.scan.num_prompts} prompts when it was checked, and other "
            f"bytes or {planned.num_rows} when it was read: the disk of the temporary folder is not to be trusted"
        )
    return planned


def _open_library(request: RunRequest, folder: Path, progress: Progress, unreadable: OnUnreadable) -> Library:
    """A dry run makes no directory: one that is not there yet, but could be made, is an empty one in `folder`."""
    url, store_s = request.library, request.limits.store_s
    is_read_only = False
    if request.is_dry and "://" not in url and url.strip():
        path = Path(url).absolute()
        above = next(place for place in (path, *path.parents) if place.exists())
        if above.is_dir() and not os.access(above, os.W_OK):
            raise StoreUnavailable(f"library = {url!r}: {above} cannot be written to: choose another directory")
        is_read_only = path.is_dir()
        if above.is_dir() and not is_read_only:
            url = str(folder / "no-library-yet")
    store = open_store(url, retry_timeout_s=store_s, on_wait=progress.note, is_read_only=is_read_only)
    return Library(store, unreadable)


def _describe_bad_rows(scanned: ManifestReport, request: RunRequest, vocabulary: VocabularyCheck | None) -> list[str]:
    errors = scanned.row_errors
    lines = [f"{len(errors)} of {scanned.num_rows} rows of {request.manifest} cannot be used:"]
    lines += [f"  {error}" for error in errors[:MAX_NAMED]]
    if len(errors) > MAX_NAMED:
        lines.append(f"  … and {len(errors) - MAX_NAMED} more: --dry-run --list FILE writes all of them")
    if vocabulary is not None and vocabulary.num_refused:
        lines.append(vocabulary.hint)
    return [*lines, "mend them, or run with --quarantine-bad-rows to record them as quarantined and build the rest"]


def _describe_conflicts(scanned: ManifestReport, request: RunRequest, manifest: Path) -> list[str]:
    if not scanned.conflicts:
        return []
    lines = [f"{len(scanned.conflicts)} rows of {request.manifest} have the id of an earlier row and other content:"]
    lines += [f"  {text}" for text in conflicts(scanned, manifest)]
    if len(scanned.conflicts) > MAX_NAMED:
        lines.append(f"  … and {len(scanned.conflicts) - MAX_NAMED} more: --dry-run --list FILE writes all of them")
    return [*lines, "give each prompt an id of its own"]
