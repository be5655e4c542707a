"""The process of one block: `python -m dreamfoundry.evaluation.gpu_day.block TASK`, a `Task` as JSON.

Standard output has one line of JSON for each case and nothing else; what libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping

from dreamfoundry.evaluation.gpu_day.checks import kernel_checks, prior_checks
from dreamfoundry.evaluation.gpu_day.facts import facts
from dreamfoundry.evaluation.gpu_day.speed import step_in_detail, step_table, switches
from dreamfoundry.evaluation.gpu_day.task import Emit, Figures, Task
from dreamfoundry.evaluation.gpu_day.training import training
from dreamfoundry.host.child_process import die_with

BLOCKS: Mapping[str, Callable[[Task, Emit], None]] = {
    "facts": facts,
    "kernels": kernel_checks,
    "prior": prior_checks,
    "step": step_in_detail,
    "table": step_table,
    "switches": switches,
    "training": training,
}


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    die_with(task.parent)
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def emit(case: str, figures: Figures) -> None:
        print(json.dumps({"case": case, **figures}), file=lines, flush=True)

    BLOCKS[task.block](task, emit)


if __name__ == "__main__":
    main()
