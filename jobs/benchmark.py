"""Where the time of an asset goes, on this machine.

    python jobs/benchmark.py                         toybox on the CPU, K = 1 and 4
    python jobs/benchmark.py --slots 1 2 4 8 --steps 40 --json out/benchmark.json

Each K runs in a process of its own, so that peak memory is its own. Figures are medians over the
measured steps, after a few that warm up; compare ratios of one run, not times of two machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from dreamfoundry.allocation import LARGE_ALLOCATIONS

WARM_UP_STEPS = 3


def measure(recipe_name: str, num_slots: int, num_steps: int, profile_name: str) -> dict[str, Any]:
    """Run `num_steps` steps with every slot occupied, then export one asset."""
    import torch

    from dreamfoundry.diffusion.prior import load_prior
    from dreamfoundry.diffusion.weights import prior_identity
    from dreamfoundry.export import asset_metadata, export_asset
    from dreamfoundry.export_profiles import export_profile
    from dreamfoundry.identity import field_key, recipe_digest
    from dreamfoundry.nerf.snapshot import take_snapshot
    from dreamfoundry.optimize import Assignment, SlotBatch
    from dreamfoundry.recipes import bundled_recipe
    from dreamfoundry.records import Prompt

    recipe = bundled_recipe(recipe_name)
    started_at = time.perf_counter()
    prior = load_prior(recipe.prior)
    load_s = time.perf_counter() - started_at

    prior_s = 0.0
    num_calls = 0

    class TimedPrior:
        """The same prior with a stopwatch around what only it does."""

        def __getattr__(self, name: str) -> Any:
            return getattr(prior, name)

        def predict_noise(self, *arguments: Any) -> Any:
            nonlocal prior_s, num_calls
            begun = time.perf_counter()
            noise = prior.predict_noise(*arguments)
            prior_s += time.perf_counter() - begun
            num_calls += 1
            return noise

    prompts = [Prompt(f"bench-{index}", "a red mushroom") for index in range(num_slots)]
    batch = SlotBatch(TimedPrior(), recipe, num_slots)
    for prompt in prompts:
        batch.admit(Assignment(prompt, prompt.prompt_id))
    step_times_s, prior_times_s = [], []
    for _ in range(WARM_UP_STEPS + num_steps):
        prior_s, begun = 0.0, time.perf_counter()
        batch.step()
        step_times_s.append(time.perf_counter() - begun)
        prior_times_s.append(prior_s)
    step_s, prior_step_s = median(step_times_s[WARM_UP_STEPS:]), median(prior_times_s[WARM_UP_STEPS:])
    begun = time.perf_counter()
    snapshot = take_snapshot(batch.fields, 0, recipe.render, recipe.snapshot, recipe.cameras)
    snapshot_s = time.perf_counter() - begun
    profile, identity = export_profile(profile_name), prior_identity(recipe.prior)
    key = field_key(prompts[0], recipe, identity)
    metadata = asset_metadata(prompts[0], identity, key, key, recipe_digest(recipe), profile)
    begun = time.perf_counter()
    export_asset(snapshot, prompts[0], profile=profile, metadata=metadata)
    export_s = time.perf_counter() - begun
    optimize_s = step_s * recipe.optimize.num_steps / num_slots + snapshot_s
    return {
        "slots": num_slots,
        "threads": torch.get_num_threads(),
        "load_s": load_s,
        "step_s": step_s,
        "step_per_asset_s": step_s / num_slots,
        "prior_share_of_step": prior_step_s / step_s,
        "field_share_of_step": 1.0 - prior_step_s / step_s,
        "prior_calls_per_step": num_calls / (WARM_UP_STEPS + num_steps),
        "steps_per_asset": recipe.optimize.num_steps,
        "snapshot_s": snapshot_s,
        "export_s": export_s,
        "asset_s": optimize_s + export_s,
        "prior_share_of_asset": prior_step_s / num_slots * recipe.optimize.num_steps / (optimize_s + export_s),
        "export_share_of_asset": export_s / (optimize_s + export_s),
        "assets_per_hour": 3600.0 / (optimize_s + export_s),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="toybox", help="a bundled recipe")
    parser.add_argument("--profile", default="preview", help="export profile of the one export")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4], help="numbers of slots to measure")
    parser.add_argument("--steps", type=int, default=20, help="measured steps for each")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.recipe, arguments.one, arguments.steps, arguments.profile)))
        return 0

    runs = []
    for num_slots in arguments.slots:
        command = [sys.executable, __file__, "--recipe", arguments.recipe, "--profile", arguments.profile]
        command += ["--steps", str(arguments.steps), "--one", str(num_slots)]
        environment = {**os.environ, **LARGE_ALLOCATIONS}  # as the optimizer actors have it
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
        runs.append(json.loads(output.splitlines()[-1]))
        run = runs[-1]
        print(
            f"K = {num_slots}: step {run['step_s']:.3f} s ({run['step_per_asset_s']:.3f} s per asset), "
            f"prior {run['prior_share_of_step']:.0%}, field {run['field_share_of_step']:.0%}; "
            f"asset {run['asset_s']:.1f} s, of it export {run['export_share_of_asset']:.0%}; "
            f"peak {run['peak_memory_mib']:.0f} MiB",
            flush=True,
        )
    first, last = runs[0], runs[-1]
    result = {
        "recipe": arguments.recipe,
        "machine": {"processor": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()},
        "runs": runs,
        "step_per_asset_ratio": first["step_per_asset_s"] / last["step_per_asset_s"],
    }
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"K = {first['slots']} takes {result['step_per_asset_ratio']:.2f} times the step time per asset of "
        f"K = {last['slots']}; {last['assets_per_hour']:.0f} assets per hour at K = {last['slots']}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
