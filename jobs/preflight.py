"""Load a prior on a device and say how many slots fit, how long a step takes and what a night makes.

examples:
  python jobs/preflight.py
  python jobs/preflight.py --recipe my.toml --device cuda
  python jobs/preflight.py --recipe my.toml --device cuda --set prior.path=s3://bucket/priors/sd21

Run it on the kind of machine that will do the work, before the night, with nothing else on the
device. It loads the prior as a worker does (from S3 it is fetched), tries 1, 2, 4 … slots with
steps of every render phase, a probe and a snapshot, and prints a line for each: the memory that the
ones before predicted, the memory that was measured, and the time. Hours are for optimizers, one
device each, if no candidate fails; exports run beside them.

exit codes:
   0  the prior can be used, with the --slots of the last line
   1  it cannot: missing, another one, damaged, or too large for the device
   4  the recipe or the command line cannot be used
"""

from __future__ import annotations

import sys
import time
from typing import get_args

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.settings.loading import resolve_recipe
from dreamfoundry.settings.recipe import Recipe

MIB = 2**20
MOST_ON_CPU, MOST_ON_GPU = 4, 32


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("--recipe", default="toybox", help="a bundled preset or a TOML file (default: toybox)")
    command_line.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one recipe key")
    command_line.add_argument("--device", default="cpu", help='"cpu" or "cuda" (default: cpu)')
    command_line.add_argument(
        "--most-slots",
        type=int,
        default=0,
        metavar="K",
        help=f"try up to K (default: {MOST_ON_GPU}, on a CPU {MOST_ON_CPU})",
    )
    command_line.add_argument(
        "--prior-engine", choices=get_args(PriorEngine), default="graphs", help="as for build_library (default: graphs)"
    )
    arguments = command_line.parse_args()
    return exit_code_of(
        lambda: preflight(
            resolve_recipe(arguments.recipe, arguments.set),
            arguments.device,
            arguments.most_slots or (MOST_ON_CPU if arguments.device == "cpu" else MOST_ON_GPU),
            arguments.prior_engine,
        )
    )


def preflight(recipe: Recipe, device: str, most_slots: int, engine: PriorEngine) -> int:
    """Print what there is to know; an error of ours says why the prior cannot be used."""
    from dreamfoundry.distill.preflight import examine, known_memory
    from dreamfoundry.run.workers.distiller import load_resident_prior

    started_s = time.monotonic()
    prior = load_resident_prior(recipe.prior, device, engine)
    load_s = time.monotonic() - started_s
    known = known_memory(prior, recipe)
    identity = prior.identity
    print(f"prior     {identity.prior_id} {identity.revision} ({identity.license}), weights {identity.digest[:16]}…")
    for lora in identity.loras:
        print(f"          with {lora.weight:g} of {lora.lora_id} ({lora.license}), {lora.digest[:16]}…")
    print(f"loaded    in {load_s:.1f} s, {prior.num_bytes / MIB:.0f} MiB, {prior.precision} on {device}")
    print(f"per slot  {known.per_slot_bytes / MIB:.1f} MiB of parameters, gradients and moments")
    fit = examine(prior, recipe, device, most_slots=most_slots)
    print(f"memory    {fit.usable_bytes / MIB:.0f} MiB may be used", end="")
    print(", the text encoder waits on the host" if fit.text_encoder_on_host else "")
    print(f"\n{'slots':>5} {'predicted':>12} {'measured':>12} {'step':>10} {'asset':>10} {'assets':>12}")
    for trial in fit.trials:
        asset_s = trial.asset_s(recipe)
        print(
            f"{trial.num_slots:5} {trial.predicted_bytes / MIB:8.0f} MiB {trial.peak_bytes / MIB:8.0f} MiB "
            f"{trial.step_s:8.3f} s {asset_s:8.1f} s {3600.0 / asset_s:6.0f} an hour"
        )
    if fit.too_many:
        print(f"{fit.too_many:5} {fit.model.at(fit.too_many) / MIB:8.0f} MiB   does not fit")
    print(f"\n--slots {fit.best.num_slots} is the fastest for an asset of those that fit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
