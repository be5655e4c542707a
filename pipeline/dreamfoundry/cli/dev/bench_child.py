"""One measurement of `dreamfoundry dev bench`, in a process of its own; prints one line of JSON.

example:
  dreamfoundry dev bench-child measure --case "K = 4" --recipe toybox --device cpu --profile preview --steps 20

The measurements `rate` and `export` print "ready" first and begin when they are given a line.

exit codes:
   0  measured
   4  the command line or the recipe cannot be used
"""

from __future__ import annotations

import json
import select
import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Device, NotNegative, RecipeChanges, RecipeName, Seconds
from dreamfoundry.run.exit_codes import EXIT_CODES

Architecture = Literal["sd21", "sd21-tiny-vae", "if-m", "if-l", "if-xl", "tiny-sd21", "tiny-if"]
"""Names of `diffusion.random_weights.ARCHITECTURES`, which is not imported for the sake of --help."""

Measurement = Literal["about", "export", "measure", "operators", "rate", "whole"]

app = command_app("bench-child", __doc__)


@app.default
def bench_child(
    measurement: Measurement,
    /,
    *,
    recipe: RecipeName,
    device: Device,
    profile: str,
    architecture: Annotated[Architecture | None, Parameter(help="random weights in this shape")] = None,
    changes: RecipeChanges = [],  # noqa: B006 (only read)
    case: str = "",
    steps: NotNegative = 0,
    window: Annotated[Seconds, Parameter(metavar="S")] = 0.0,
    whole: Annotated[NotNegative, Parameter(metavar="STEPS")] = 0,
    threads: Annotated[NotNegative, Parameter(help="0: as many as torch takes by itself")] = 0,
) -> int:
    """Make one measurement and print it; the exit code."""
    from dreamfoundry.evaluation.benchmark.measurements import MEASUREMENTS, Bench

    bench = Bench(
        recipe=recipe,
        device=device,
        profile=profile,
        overrides=tuple(changes),
        architecture=architecture or "",
        case=case,
        num_steps=steps,
        window_s=window,
        whole_steps=whole,
        threads=threads,
        wait=wait_for_go,
        is_over=has_input,
    )
    print(json.dumps(MEASUREMENTS[measurement](bench)))
    return EXIT_CODES["complete"]


def wait_for_go() -> None:
    """Tell the parent that everything is warm, and wait for its line."""
    print("ready", flush=True)
    sys.stdin.readline()


def has_input() -> bool:
    """True once the parent has written a line or closed the pipe."""
    return bool(select.select([sys.stdin], [], [], 0.0)[0])
