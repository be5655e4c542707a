r"""Build a library of 3D assets from a Parquet manifest of prompts.

examples:
  python jobs/make_manifest.py prompts.txt prompts.parquet
  python jobs/build_library.py prompts.parquet out/library

  another budget (the fields exist already, so this only exports):
  python jobs/build_library.py prompts.parquet out/library --profile game_prop

  another recipe, from a preset, a file or single keys:
  python jobs/build_library.py prompts.parquet out/library --recipe my.toml --set optimize.num_steps=600

  files that say whose they are, and keep the prompts to themselves:
  python jobs/build_library.py prompts.parquet out/library \
      --asset-license CC-BY-4.0 --copyright-holder "A Studio" --confidential-prompts

  try quarantined rows again:
  python jobs/build_library.py prompts.parquet out/library --retry-quarantined empty

  on a cluster:
  ray job submit --working-dir . -- python jobs/build_library.py \
      s3://bucket/prompts.parquet s3://bucket/library --device cuda --actors 8 --export-workers 16

Running it again builds only what is missing: an asset is known by its prompt, seed, recipe, prior
and export profile. Open index.html of the library to look at it.

exit codes:
   0  every row is published, now or before
   1  infrastructure (library or weights cannot be reached, workers cannot be kept alive) or a bug
   3  done, but some rows are quarantined or lay in damaged bytes; index.html says why
   4  the manifest, the recipe or the command line cannot be used; nothing was started
  75  stopped on request (SIGTERM, Ctrl-C), or the rest is with another run: run again

S3 is configured by the usual AWS_* variables, a Ray cluster by RAY_ADDRESS; without it a private
Ray is started on this machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import signal
import sys
import threading
import time
from typing import get_args

from dreamfoundry.cli.command_line import CommandLine
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.errors import ConfigError, InfrastructureError, InputError
from dreamfoundry.run.build import build_library
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.run.request import RunRequest, RunResult
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.settings.export_profiles import EXPORT_PROFILES, export_profile
from dreamfoundry.settings.loading import resolve_recipe
from dreamfoundry.settings.metadata_policy import NO_ASSERTION, MetadataPolicy


def main() -> int:
    arguments = parse_arguments()
    stop = stop_on_signals()
    started_s = time.monotonic()
    try:
        request = RunRequest(
            manifest=arguments.manifest,
            library=arguments.library,
            recipe=resolve_recipe(arguments.recipe, arguments.set),
            profile=export_profile(arguments.profile),
            metadata_policy=MetadataPolicy(
                embed_prompt=not arguments.confidential_prompts,
                asset_license=arguments.asset_license,
                copyright_holder=arguments.copyright_holder,
                rights_url=arguments.rights_url,
            ),
            num_distill_workers=arguments.actors,
            num_export_workers=arguments.export_workers,
            num_slots=arguments.slots,
            device=arguments.device,
            prior_engine=arguments.prior_engine,
            retry_class=arguments.retry_quarantined,
            quarantine_bad_rows=arguments.quarantine_bad_rows,
            use_ray=not arguments.no_ray,
            limits=resolve_limits(arguments.limit),
            price_per_hour=arguments.price,
        )
        result = build_library(request, sys.stderr, stop.is_set)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODES["refused"]
    except InfrastructureError as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return EXIT_CODES["failed"]
    summarize(result, time.monotonic() - started_s)
    return result.report.exit_code


def parse_arguments() -> argparse.Namespace:
    parser = CommandLine(__doc__)
    parser.add_argument("manifest", metavar="MANIFEST", help="Parquet file or folder of parts; a path or s3://…")
    parser.add_argument("library", metavar="LIBRARY", help="where assets go; a directory or s3://bucket/prefix")
    parser.add_argument("--recipe", default="toybox", help="a bundled preset or a TOML file (default: %(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one recipe key; can be repeated"
    )
    parser.add_argument(
        "--profile",
        default="preview",
        help=f"export budget of rows that name none: {', '.join(EXPORT_PROFILES)} (default: %(default)s)",
    )
    parser.add_argument(
        "--asset-license",
        default=NO_ASSERTION,
        metavar="SPDX",
        help="licence of the assets, as in CC0-1.0 or LicenseRef-Studio; stands in every file (default: %(default)s)",
    )
    parser.add_argument("--copyright-holder", default="", metavar="NAME", help="whose assets these are")
    parser.add_argument("--rights-url", default="", metavar="URL", help="where the words of the licence stand")
    parser.add_argument(
        "--confidential-prompts",
        action="store_true",
        help="no prompt in any delivered file or file name, only its SHA-256; the catalog still has it",
    )
    parser.add_argument("--device", default="cpu", help='"cpu" or "cuda": one GPU per distill worker')
    parser.add_argument(
        "--prior-engine",
        choices=get_args(PriorEngine),
        default="graphs",
        help="how a GPU computes the prior; compiling takes minutes per actor (default: %(default)s)",
    )
    parser.add_argument(
        "--actors",
        type=positive,
        default=0,
        help="distill workers (default: for the toybox on this machine's CPU one per core, else 1)",
    )
    parser.add_argument(
        "--slots",
        type=positive,
        default=0,
        help="prompts that share one prior in an actor (default: on a GPU what is fastest, tried out; else up to 4)",
    )
    parser.add_argument(
        "--export-workers",
        type=positive,
        default=0,
        help="export processes (default: one for every two actors, on a shared cluster 1)",
    )
    parser.add_argument(
        "--retry-quarantined",
        default="",
        metavar="CLASS",
        help='try rows again that were quarantined with this class, "all" for every class',
    )
    parser.add_argument(
        "--quarantine-bad-rows", action="store_true", help="record unusable rows as quarantined and build the rest"
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=SECONDS",
        help=f"change the patience of the run; can be repeated: {describe_limits()}",
    )
    parser.add_argument(
        "--price",
        type=price,
        default=0.0,
        metavar="PER_HOUR",
        help="what one distill worker with its machine costs an hour: the report then says what the run has cost",
    )
    parser.add_argument("--no-ray", action="store_true", help="run everything in this process, for debugging")
    return parser.parse_args()


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def price(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of at least 0, as in 2.50")
    return value


def describe_limits() -> str:
    return ", ".join(f"{limit.name}={limit.default:g}" for limit in dataclasses.fields(Limits))


def resolve_limits(settings: list[str]) -> Limits:
    """The limits of a run with NAME=SECONDS settings."""
    values = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in {limit.name for limit in dataclasses.fields(Limits)}:
            raise ConfigError(f"--limit {setting!r}: must be NAME=SECONDS, the name one of {describe_limits()}")
        try:
            values[name] = float(text)
        except ValueError:
            raise ConfigError(f"--limit {setting!r}: {text!r} must be a number of seconds") from None
        if not values[name] >= 0.0:
            raise ConfigError(f"--limit {setting!r}: must be 0 or more seconds")
    return Limits(**values)


def stop_on_signals() -> threading.Event:
    """Set by the first SIGTERM or Ctrl-C; the second one ends the process at once."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            os._exit(EXIT_CODES["drained"])
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def summarize(result: RunResult, wall_s: float) -> None:
    report = result.report
    for prompt_id, outcome in result.quarantined.items():
        print(f"quarantined {prompt_id}: {outcome.failure_class}: {outcome.message.splitlines()[-1]}")
    num_unnamed = sum(report.failure_classes.values()) - len(result.quarantined)
    if num_unnamed > 0:
        print(f"… and {num_unnamed} more quarantined rows")
    counts = f"{report.published} published, {report.skipped} skipped, {report.quarantined} quarantined"
    if report.lost_rows:
        counts += f", {report.lost_rows} lost in damaged bytes"
    if report.pending:
        counts += f", {report.pending} pending ({report.status}: run again)"
    where = f"{report.library.rstrip('/')}/index.html"
    if report.price_per_hour:
        wasted = report.optimizer_s["wasted"] / 3600.0 * report.price_per_hour if report.optimizer_s else 0.0
        counts += f", cost {report.cost:.2f} (wasted {wasted:.2f})"
    print(f"{counts}, {report.num_steps} optimisation steps in {wall_s:.0f} s -> {where}")


if __name__ == "__main__":
    sys.exit(main())
