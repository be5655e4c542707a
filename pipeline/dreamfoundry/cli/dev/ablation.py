"""Compare variants of a recipe on toys, suite by suite: fields and surfaces only.

examples:
  dreamfoundry dev ablation paper omega                  two of the bundled suites
  dreamfoundry dev ablation my_suite.toml --minutes 30   one of your own, for half an hour; again to go on
  dreamfoundry dev ablation --variant 'plain' --variant 'long; optimize.num_steps = 400'

All variants of a suite share prompts, seeds and draws. Each finished field is a line of
OUTPUT/results.jsonl and is not made again as long as prompt, recipe, prior and code stay what they
were; so a run can be stopped, continued and extended, and suites share what they have in common.
Page, plot and pictures of a suite go to OUTPUT/SUITE, with --docs to docs/ablation too.

exit codes:
   0  compared, or stopped after --minutes
   4  the command line or a suite cannot be used
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app, typed_command
from dreamfoundry.cli.flags import ExistingFile, OutputFolder, Positive, Repeated
from dreamfoundry.errors import ConfigError
from dreamfoundry.evaluation.ablation.suites import Suite, bundled_suites, quick_suite, read_suite
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT, restart_with
from dreamfoundry.run.exit_codes import EXIT_CODES

DOCS = Path("docs/ablation")

app = command_app("ablation", __doc__)


@app.default
def ablation(
    *suites: Annotated[str, Parameter(help="TOML files or bundled suites: " + ", ".join(bundled_suites()))],
    variant: Annotated[Repeated, Parameter(help="'name; key = value; key = value'; can be repeated")] = [],  # noqa: B006
    recipe: Annotated[str, Parameter(help="the bundled recipe that a --variant changes")] = "toybox",
    prior: Annotated[str, Parameter(help='"toybox" or a folder of weights')] = "toybox",
    prompts: Annotated[ExistingFile | None, Parameter(help="one prompt per line, instead of each suite's toys")] = None,
    seeds: Annotated[Positive, Parameter(help="seeds per prompt")] = 2,
    slots: Annotated[Positive, Parameter(help="prompts that a process optimises side by side")] = 4,
    processes: Annotated[Positive, Parameter(help="each with one thread")] = 2,
    minutes: Annotated[float, Parameter(help="start nothing new after these minutes")] = math.inf,
    output: OutputFolder = Path("out/ablation"),
    docs: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=True, metavar="[FOLDER]", help=f"write the pages there too [default: {DOCS}]"),
    ] = None,
) -> int:
    """Run all suites and write their pages; the exit code. InputError before any work."""
    restart_with({**CPU_ENVIRONMENT, "OMP_NUM_THREADS": "1"})
    stop_at = time.monotonic() + 60.0 * minutes
    # words after the one folder of --docs are suites
    folder, names = (docs[:1], [*suites, *map(str, docs[1:])]) if docs else (docs, list(suites))
    if not names and not variant:
        raise ConfigError(f"nothing to compare: name a suite ({', '.join(bundled_suites())}) or a --variant")
    chosen = read_suites(names, variant, recipe, prompts)

    # torch is loaded only after everything has been read
    from dreamfoundry.diffusion.weights import prior_identity
    from dreamfoundry.evaluation.ablation.runner import Ablation, run_suite, write_report
    from dreamfoundry.evaluation.ablation.worker import prior_config

    setting = Ablation(
        prior_path=prior,
        prior=prior_identity(prior_config(prior)),
        num_seeds=seeds,
        num_slots=slots,
        num_processes=processes,
        output=output,
        run=round(time.time()),
        stop_at=stop_at,
        command=typed_command(),
        docs=None if folder is None else (folder or [DOCS])[0],
    )
    output.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for suite in chosen:
            write_report(suite, run_suite(suite, pool, setting, say), setting, say)
    return EXIT_CODES["complete"]


def read_suites(names: Sequence[str], variants: Sequence[str], recipe: str, prompts: Path | None) -> list[Suite]:
    """The suites that the command line names, with its own prompts if it has any. ConfigError for a bad one."""
    bundled = bundled_suites()
    suites = [
        read_suite(Path(name) if name.endswith(".toml") else bundled.get(name, Path(f"{name}.toml"))) for name in names
    ]
    if variants:
        suites.append(quick_suite(variants, recipe))
    if prompts:
        lines = [line.strip() for line in prompts.read_text().splitlines()]
        suites = [dataclasses.replace(suite, prompts=tuple(filter(None, lines))) for suite in suites]
    return suites


def say(line: str) -> None:
    """Print a line at once: the next one may be minutes away."""
    print(line, flush=True)
