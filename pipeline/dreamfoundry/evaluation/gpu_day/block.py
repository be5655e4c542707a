"""The process of one block: `python -m dreamfoundry.evaluation.gpu_day.block TASK`, a `Task` as JSON.

Standard output has one line of JSON for each case and nothing else; what libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from importlib import import_module

from dreamfoundry.evaluation.gpu_day.task import Figures, Task
from dreamfoundry.host.child_process import die_with

BLOCKS: Mapping[str, str] = {
    "facts": "facts.facts",
    "kernels": "checks.kernel_checks",
    "prior": "checks.prior_checks",
    "step": "speed.step_in_detail",
    "table": "speed.step_table",
    "switches": "speed.switches",
    "training": "training.training",
}
"""Module and function of each block. Only that module is imported: the libraries of a prior take seconds."""


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    die_with(task.parent)
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def emit(case: str, figures: Figures) -> None:
        print(json.dumps({"case": case, **figures}), file=lines, flush=True)

    module, _, function = BLOCKS[task.block].partition(".")
    getattr(import_module(f"dreamfoundry.evaluation.gpu_day.{module}"), function)(task, emit)


if __name__ == "__main__":
    main()
