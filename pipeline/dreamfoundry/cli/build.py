r"""Build a library of 3D assets from a Parquet manifest of prompts.

examples:
  dreamfoundry make prompts.txt prompts.parquet
  dreamfoundry build prompts.parquet out/library

  other files, from a profile or to your own order (docs/PROFILES.md); the fields exist already, so this only exports:
  dreamfoundry build prompts.parquet out/library --profile game_prop
  dreamfoundry build prompts.parquet out/library --profile my_props.toml

  another recipe, from a preset, a file or single keys:
  dreamfoundry build prompts.parquet out/library --recipe my.toml --set optimize.num_steps=600

  files that say whose they are, and keep the prompts to themselves:
  dreamfoundry build prompts.parquet out/library \
      --asset-license CC-BY-4.0 --copyright-holder "A Studio" --confidential-prompts

  try quarantined rows again:
  dreamfoundry build prompts.parquet out/library --retry-quarantined empty

  a look before the night, which writes nothing: bad rows, what exists, what is to make, hours and money:
  dreamfoundry build prompts.parquet out/library --dry-run --price 2.50

  on a cluster:
  ray job submit --working-dir . -- python jobs/build_library.py \
      s3://bucket/prompts.parquet s3://bucket/library --device cuda --actors 8 --export-workers 16

Running it again builds only what is missing: an asset is known by its prompt, seed, recipe, prior
and export profile. Open index.html of the library to look at it.

exit codes:
   0  every row is published, now or before
   1  infrastructure (library or weights cannot be reached, workers cannot be kept alive) or a bug
   3  done, but some rows are quarantined or were in damaged bytes; index.html says why
   4  the manifest, the recipe or the command line cannot be used; nothing was started
  75  stopped on request (SIGTERM, Ctrl-C), or the rest is with another run: run again

S3 is configured by the usual AWS_* variables, a Ray cluster by RAY_ADDRESS, else Ray starts here.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import (
    Count,
    Device,
    Engine,
    Flag,
    OutputFile,
    ProfileName,
    RecipeChanges,
    RecipeName,
    Repeated,
    Seconds,
)
from dreamfoundry.errors import ConfigError, failure_classes
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.settings.loading import resolve_profile, resolve_recipe
from dreamfoundry.settings.metadata_policy import NO_ASSERTION, MetadataPolicy

if TYPE_CHECKING:
    from dreamfoundry.run.request import RunRequest, RunResult

LIMITS_HELP = ", ".join(f"{limit.name}={limit.default:g}" for limit in dataclasses.fields(Limits))

app = command_app("build", __doc__)


@Parameter(name="*", group="Assets")
@dataclass(frozen=True)
class AssetFlags:
    """Everything that decides the bytes of an asset but its row."""

    recipe: RecipeName = "toybox"
    changes: RecipeChanges = field(default_factory=list)
    profile: ProfileName = "preview"
    retry_quarantined: Annotated[str, Parameter(show_default=False)] = ""
    """failure class of quarantined rows to try again, "all" for every class"""
    quarantine_bad_rows: Flag = False
    """record unusable rows as quarantined and build the rest"""


@Parameter(name="*", group="Rights and privacy")
@dataclass(frozen=True)
class RightsFlags:
    """Words that every delivered file carries."""

    asset_license: str = NO_ASSERTION
    """licence of the assets in SPDX, as in CC0-1.0 or LicenseRef-Studio; in every file"""
    copyright_holder: Annotated[str, Parameter(show_default=False)] = ""
    """whose assets these are"""
    rights_url: Annotated[str, Parameter(show_default=False)] = ""
    """where the words of the licence can be read"""
    confidential_prompts: Flag = False
    """no prompt in any delivered file or file name, only its SHA-256; the catalog still has it"""

    def policy(self) -> MetadataPolicy:
        """The same for the export."""
        return MetadataPolicy(
            embed_prompt=not self.confidential_prompts,
            asset_license=self.asset_license,
            copyright_holder=self.copyright_holder,
            rights_url=self.rights_url,
        )


@Parameter(name="*", group="Workers")
@dataclass(frozen=True)
class WorkerFlags:
    """Processes and devices."""

    device: Device = "cpu"
    prior_engine: Engine = "graphs"
    actors: Annotated[Count, Parameter(alias="--distill-workers")] = None
    """distill workers [default: for the toybox on this machine's CPU one per core, else 1]"""
    slots: Count = None
    """prompts that share one prior in a distill worker [default: the fastest number on a GPU, else up to 4]"""
    export_workers: Count = None
    """export processes [default: one for every two distill workers, on a shared cluster 1]"""
    limit: Annotated[Repeated, Parameter(help=f"NAME=SECONDS of patience; can be repeated: {LIMITS_HELP}")] = field(
        default_factory=list
    )
    price: Annotated[Seconds, Parameter(show_default=False)] = 0.0
    """price of one distill worker with its machine per hour; the report then has the cost of the run"""
    no_ray: Flag = False
    """run everything in this process, for debugging"""
    log_file: Annotated[OutputFile | None, Parameter(show_default=False)] = None
    """file for log events, a line of JSON each [default: a new one in the temporary folder]"""


@Parameter(name="*", group="Before the night")
@dataclass(frozen=True)
class DryRunFlags:
    """A look at what a run would do."""

    dry_run: Flag = False
    """say what the run would find, make and cost; start and write nothing; exit as the run would if nothing fails"""
    list: Annotated[OutputFile | None, Parameter(metavar="FILE", show_default=False)] = None
    """with --dry-run: a CSV file of every row that is bad, lost, repeated or in conflict"""
    asset_s: Annotated[Seconds, Parameter(show_default=False)] = 0.0
    """with --dry-run: seconds of a distill worker for an asset, from preflight's table [default: as in the last run]"""


@app.default
def build(
    manifest: Annotated[str, Parameter(help="Parquet file or folder of parts; a path or s3://…")],
    library: Annotated[str, Parameter(help="folder of the assets; a directory or s3://bucket/prefix")],
    /,
    *,
    assets: AssetFlags = AssetFlags(),
    rights: RightsFlags = RightsFlags(),
    workers: WorkerFlags = WorkerFlags(),
    before: DryRunFlags = DryRunFlags(),
) -> int:
    """Build, print a summary, and return the exit code of the run."""
    stop = stop_on_signals()
    request = run_request(manifest, library, assets, rights, workers)
    if before.dry_run:
        return _dry_run(request, before, stop.is_set)
    if before.list or before.asset_s:
        raise ConfigError("--list and --asset-s: only with --dry-run")

    from dreamfoundry.run.build import build_library  # brings Arrow

    started_s = time.monotonic()
    result = build_library(request, sys.stderr, stop.is_set)
    summarize(result, time.monotonic() - started_s)
    return result.report.exit_code


def _dry_run(request: RunRequest, flags: DryRunFlags, should_stop: Callable[[], bool]) -> int:
    """Print the forecast of the run; the exit code that it would have."""
    from dreamfoundry.run.display import printable
    from dreamfoundry.run.planning.dry_run import describe, forecast  # brings Arrow
    from dreamfoundry.run.planning.row_list import refuse_list

    if flags.list:
        refuse_list(flags.list, request)

    found = forecast(dataclasses.replace(request, is_dry=True), sys.stderr, should_stop, flags.asset_s, flags.list)
    for subject, text in describe(found):
        print(f"{subject:14}{printable(text)}")
    if flags.list:
        print(f"{'list':14}{found.num_listed:,} rows -> {flags.list}")
    code = EXIT_CODES[found.status]
    print(f"{'exit code':14}{code}, if nothing fails; nothing was started or written")
    return code


def run_request(
    manifest: str, library: str, assets: AssetFlags, rights: RightsFlags, workers: WorkerFlags
) -> RunRequest:
    """The flags as one request; ConfigError for a recipe, profile or limit that cannot be used."""
    from dreamfoundry.run.request import RunRequest  # brings numpy

    return RunRequest(
        manifest=manifest,
        library=library,
        recipe=resolve_recipe(assets.recipe, assets.changes),
        recipe_name=os.path.basename(assets.recipe),
        profile=resolve_profile(assets.profile),
        metadata_policy=rights.policy(),
        retry_class=_retry_class(assets.retry_quarantined),
        quarantine_bad_rows=assets.quarantine_bad_rows,
        # workers and their patience
        num_distill_workers=workers.actors or 0,
        num_export_workers=workers.export_workers or 0,
        num_slots=workers.slots or 0,
        device=workers.device,
        prior_engine=workers.prior_engine,
        use_ray=not workers.no_ray,
        limits=resolve_limits(workers.limit),
        price_per_hour=workers.price,
        log_file=str(workers.log_file or default_log_file()),
    )


def _retry_class(name: str) -> str:
    """`name`, if it is one that a quarantined row can have; ConfigError names all."""
    known = ["all", *failure_classes()]
    if name and name not in known:
        raise ConfigError(f"--retry-quarantined {name!r}: must be one of {', '.join(known)}")
    return name


def default_log_file() -> str:
    """A new file in the temporary folder, named after time and process."""
    return os.path.join(tempfile.gettempdir(), f"dreamfoundry-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl")


def resolve_limits(settings: list[str]) -> Limits:
    """The limits of a run with NAME=SECONDS settings; ConfigError for any other text."""
    values: dict[str, Any] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in {limit.name for limit in dataclasses.fields(Limits)}:
            raise ConfigError(f"--limit {setting!r}: must be NAME=SECONDS, the name one of {LIMITS_HELP}")

        try:
            values[name] = float(text)
        except ValueError:
            raise ConfigError(f"--limit {setting!r}: {text!r} must be a number of seconds") from None
        if not values[name] >= 0.0:
            raise ConfigError(f"--limit {setting!r}: must be 0 or more seconds")
    return Limits(**values)


def stop_on_signals() -> threading.Event:
    """An event that the first SIGTERM or Ctrl-C sets; the second one ends the process at once."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), b"\x1b[?25h")  # a progress bar has hidden the cursor
            os._exit(EXIT_CODES["drained"])
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def summarize(result: RunResult, wall_s: float) -> None:
    """Print a line for each of the first quarantined rows, one for the log events, then one for the run."""
    report = result.report
    for prompt_id, outcome in result.quarantined.items():
        print(f"quarantined {prompt_id}: {outcome.failure_class}: {outcome.message.splitlines()[-1]}")
    num_unnamed = sum(report.failure_classes.values()) - len(result.quarantined)
    if num_unnamed > 0:
        print(f"… and {num_unnamed} more quarantined rows")
    if result.log_file:
        print(f"log events -> {result.log_file}")

    counts = f"{report.published} published, {report.skipped} skipped, {report.quarantined} quarantined"
    if report.lost_rows:
        counts += f", {report.lost_rows} lost in damaged bytes"
    if report.pending:
        counts += f", {report.pending} pending ({report.status}: run again)"
    if report.price_per_hour:
        wasted = report.optimizer_s["wasted"] / 3600.0 * report.price_per_hour if report.optimizer_s else 0.0
        counts += f", cost {report.cost:.2f} (wasted {wasted:.2f})"

    where = f"{report.library.rstrip('/')}/index.html"
    print(f"{counts}, {report.num_steps} optimisation steps in {wall_s:.0f} s -> {where}")
