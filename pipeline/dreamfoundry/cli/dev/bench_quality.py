r"""Compare the quality of the fast loop with that of the benchmark's baseline.

examples:
  dreamfoundry dev bench-quality                       8 toys with one seed: 20 minutes to an hour
  dreamfoundry dev bench-quality --prompts 2 --set optimize.num_steps=100

Each toy is optimised twice with the same recipe, prior, seed and steps: by the main loop, and by
the loop of the baseline with its 512 samples on a ray. Both surfaces are compared with the true
toy. Every finished field is a line of OUTPUT/quality.jsonl and is not made again, so a run can be
stopped and continued.

exit codes:
   0  compared
   4  the command line or the recipe cannot be used
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Count, OutputFolder, Positive, RecipeChanges
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT, restart_with
from dreamfoundry.run.exit_codes import EXIT_CODES

app = command_app("bench-quality", __doc__)


@app.default
def bench_quality(
    *,
    prompts: Annotated[Positive, Parameter(help="number of toys")] = 8,
    changes: RecipeChanges = [],  # noqa: B006 (only read)
    threads: Annotated[Count, Parameter(help="of this process [default: all cores]")] = None,
    output: OutputFolder = Path("out/benchmark"),
) -> int:
    """Compare both loops and print every line as it comes; the exit code."""
    restart_with(CPU_ENVIRONMENT)
    import torch

    from dreamfoundry.evaluation.benchmark.quality import compare_quality

    if threads:
        torch.set_num_threads(threads)
    for line in compare_quality(output, changes, prompts):
        print(line, flush=True)
    return EXIT_CODES["complete"]
