"""From a request to the facts of its run: the manifest is copied and checked, the library opened, the work planned."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from dreamfoundry.diffusion.weights_cache import resolve_identity, weights_cache
from dreamfoundry.errors import MachineFault, ManifestError, ObjectMissing, Stopped
from dreamfoundry.library.library import Library
from dreamfoundry.manifest.reader import ManifestReport, read_prompts, scan
from dreamfoundry.object_store.open import local_copy, open_store
from dreamfoundry.run.outcomes import now_text
from dreamfoundry.run.plan import OnProgress, Plan
from dreamfoundry.run.progress import Progress
from dreamfoundry.run.prompt_check import VocabularyCheck, vocabulary_check
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.resolution import PlanInputs
from dreamfoundry.run.run_records import RunContext

MAX_NAMED = 20
"""Bad rows that a message names; `--dry-run --list` names all."""


def stop_on_request(progress: Progress, should_stop: Callable[[], bool]) -> OnProgress:
    """Shows what is counted, and raises Stopped once that is asked for."""

    def on_progress(counted: str, number: int) -> None:
        progress.count(counted, number)
        if should_stop():
            raise Stopped(f"after {number:,} {counted}: run again")

    return on_progress


def check(request: RunRequest, folder: Path, progress: Progress, on_progress: OnProgress) -> RunContext:
    """Check everything that can be checked without starting anything; temporary files go into `folder`.

    Raises InputError for a manifest that cannot be used, bad rows included, unless the request takes those.
    """
    started_at = now_text()
    prior = resolve_identity(request.recipe.prior, weights_cache())
    vocabulary = vocabulary_check(request.recipe.prior)
    manifest = _local_manifest(request.manifest, folder)
    scanned = scan(manifest, vocabulary, request.recipe)
    if scanned.row_errors and not request.quarantine_bad_rows and not request.is_dry:
        raise ManifestError(_describe_bad_rows(scanned, request, vocabulary))

    for warning in scanned.warnings:
        progress.note(f"warning: {warning}")
    if scanned.ignored_columns:
        progress.note(f"columns that are not read: {', '.join(scanned.ignored_columns)}")
    return RunContext(
        request=request,
        manifest=manifest,
        scan=scanned,
        prior=prior,
        library=_open_library(request, folder, progress),
        progress=progress,
        on_progress=on_progress,
        run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        started_at=started_at,
    )


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
    if planned.num_rows != context.scan.num_prompts:
        raise MachineFault(
            f"the copy of {request.manifest} had {context.scan.num_prompts} prompts when it was checked and "
            f"{planned.num_rows} when it was read: the disk of the temporary folder is not to be trusted"
        )
    return planned


def _local_manifest(url: str, folder: Path) -> Path:
    try:
        return local_copy(url, folder)
    except ObjectMissing as error:
        raise ManifestError(str(error)) from None


def _open_library(request: RunRequest, folder: Path, progress: Progress) -> Library:
    """A dry run makes no directory: one that is not there yet is an empty one in `folder`."""
    url = request.library
    if request.is_dry and "://" not in url and not Path(url).is_dir():
        url = str(folder / "no-library-yet")
    return Library(open_store(url, retry_timeout_s=request.limits.store_s, on_wait=progress.note))


def _describe_bad_rows(scanned: ManifestReport, request: RunRequest, vocabulary: VocabularyCheck | None) -> str:
    errors = scanned.row_errors
    lines = [f"{len(errors)} of {scanned.num_rows} rows of {request.manifest} cannot be used:"]
    lines += [f"  {error}" for error in errors[:MAX_NAMED]]
    if len(errors) > MAX_NAMED:
        lines.append(f"  … and {len(errors) - MAX_NAMED} more: --dry-run --list FILE writes all of them")
    if vocabulary is not None and vocabulary.num_refused:
        lines.append(vocabulary.hint)
    lines.append("mend them, or run with --quarantine-bad-rows to record them as quarantined and build the rest")
    return "\n".join(lines)
