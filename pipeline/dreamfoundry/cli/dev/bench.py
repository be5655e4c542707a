r"""Measure assets per hour on this machine, against a loop in the shape of the research codes.

examples:
  dreamfoundry dev bench                                 toybox on the CPU: about ten minutes
  dreamfoundry dev bench --slots 1 4 8 --repeats 1 --json out/benchmark.json --plot out/benchmark.png
  dreamfoundry dev bench --device cuda --recipe dreamfusion_hash --architecture sd21 --whole 0 --slots 1 8 16

The baseline optimises one prompt per process: eager, 512 samples on a ray, a field read by torch's
grid_sample, numbers copied to the host in every step. From it to ours the cases change one thing at
a time, with the same prior, steps, draws and losses. Every case runs in a process of its own, so
that peak memory is its own; rounds take turns, and figures are medians over the rounds. Compare
ratios of one run, not times of two machines, and keep the machine free of other work.

With --side-by-side N, N processes of one case run at once: on a CPU ours with one thread each, on a
GPU the baseline, packed as a studio would do it. With --beside-exports N, N processes export while
ours optimises: what it loses is the time that a GPU would stand idle. With --whole STEPS one asset
is made from start to end and exported. Without these two (--whole 0) the packages of the export are
not needed.

exit codes:
   0  measured
   4  the command line or the recipe cannot be used
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from json import dumps
from typing import Annotated, Literal

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.dev.bench_child import Architecture
from dreamfoundry.cli.flags import Flag, NotNegative, OutputFile, Positive, RecipeChanges, RecipeName, Seconds
from dreamfoundry.run.exit_codes import EXIT_CODES

CHILD = (sys.executable, "-m", "dreamfoundry", "dev", "bench-child")
"""The program of one measurement."""

Counts = Annotated[list[int], Parameter(consume_multiple=True, metavar="N")]


@Parameter(name="*", group="Cases")
@dataclass(frozen=True)
class Cases:
    """Measured cases and their repetitions."""

    slots: Annotated[Counts, Parameter(help="slots of the main loop")] = field(default_factory=lambda: [1, 4])
    repeats: Annotated[Positive, Parameter(help="rounds over all cases")] = 3
    steps: Annotated[Positive, Parameter(help="measured per render stage")] = 20
    baseline_steps: Annotated[Positive, Parameter(help="those of the baseline")] = 6
    side_by_side: Annotated[Counts, Parameter(help="processes at once")] = field(default_factory=lambda: [2])
    beside_exports: Annotated[Counts, Parameter(help="exporting processes")] = field(default_factory=list)


app = command_app("bench", __doc__)


@app.default
def bench(
    *,
    recipe: RecipeName = "toybox",
    architecture: Annotated[
        Architecture | None, Parameter(help="random weights in this shape instead of the recipe's prior")
    ] = None,
    changes: RecipeChanges = [],  # noqa: B006 (only read)
    device: Literal["cpu", "cuda"] = "cpu",
    profile: Annotated[str, Parameter(help="of the one export")] = "preview",
    cases: Cases = Cases(),
    operators: Annotated[Flag, Parameter(help="also name the operators that take the time")] = False,
    window: Annotated[Seconds, Parameter(metavar="S", help="seconds that those are counted for")] = 20.0,
    whole: Annotated[NotNegative, Parameter(metavar="STEPS", help="of one whole asset; 0 makes none")] = 300,
    json: Annotated[OutputFile | None, Parameter(help="where to write the figures")] = None,
    plot: Annotated[OutputFile | None, Parameter(help="where to draw them")] = None,
) -> int:
    """Run the benchmark, print its figures, and write the files that are named; the exit code."""
    from dreamfoundry.evaluation.benchmark.children import Children
    from dreamfoundry.evaluation.benchmark.comparison import Plan, compare, summary_lines

    shared = [f"--recipe={recipe}", f"--device={device}", f"--profile={profile}"]
    shared += [f"--whole={whole}", f"--window={window}", *(f"--set={change}" for change in changes)]
    shared += [f"--architecture={architecture}"] if architecture else []
    plan = Plan(
        slots=cases.slots,
        num_rounds=cases.repeats,
        num_steps=cases.steps,
        baseline_steps=cases.baseline_steps,
        side_by_side=cases.side_by_side,
        beside_exports=cases.beside_exports,
        decoding="sd21" in (architecture or ""),
        profile=profile if whole else "",
        operators=operators,
    )
    result = compare(plan, Children(CHILD, shared, device), say)

    if json:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_text(dumps(result, indent=2) + "\n")
    if plot:
        from dreamfoundry.evaluation.benchmark.plot import step_plot

        step_plot(result["cases"], plot)
    for line in summary_lines(result):
        say(line)
    return EXIT_CODES["complete"]


def say(line: str) -> None:
    """Print a line at once: the next one may be minutes away."""
    print(line, flush=True)
