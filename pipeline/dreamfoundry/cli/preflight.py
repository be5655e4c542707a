"""Load a prior on a device: how many slots fit, how long a step takes, what a night makes.

examples:
  dreamfoundry preflight
  dreamfoundry preflight --recipe my.toml --device cuda
  dreamfoundry preflight --recipe my.toml --device cuda --set prior.path=s3://bucket/priors/sd21

Run it on the kind of machine that will do the work, before the night, with nothing else on the device. It loads
the prior as a worker does (from S3 it is fetched), tries 1, 2, 4 … slots with steps of every render phase, a
probe and a snapshot, and prints a line for each: memory as predicted from the lines before and as measured, pictures
whose activations the VAE keeps, the least time of a step (the prior's work at 63 % of the pace of large products), and
time as measured. Hours are for distill workers, one device each, if no candidate fails; exports run beside them.

exit codes:
   0  the prior can be used, with the --slots of the last line
   1  it cannot: missing, another one, damaged, or too large for the device
   4  the recipe or the command line cannot be used
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Count, Device, Engine, RecipeChanges, RecipeName
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.settings.loading import resolve_recipe

if TYPE_CHECKING:
    from dreamfoundry.distill.preflight import Fit
    from dreamfoundry.evaluation.benchmark.roofline import Roofline
    from dreamfoundry.settings.recipe import Recipe

MIB = 2**20
MOST_ON_CPU, MOST_ON_GPU = 4, 32

app = command_app("preflight", __doc__)


@app.default
def preflight(
    *,
    recipe: RecipeName = "toybox",
    changes: RecipeChanges = [],  # noqa: B006 (only read)
    device: Device = "cpu",
    most_slots: Annotated[
        Count, Parameter(help=f"largest number to try [default: {MOST_ON_GPU}, on a CPU {MOST_ON_CPU}]")
    ] = None,
    prior_engine: Engine = "graphs",
) -> int:
    """Print identity, memory and speed; our own error names the reason why the prior cannot be used."""
    resolved = resolve_recipe(recipe, changes)

    from dreamfoundry.distill.preflight import examine, known_memory  # brings torch
    from dreamfoundry.evaluation.benchmark.roofline import measured_roofline
    from dreamfoundry.nerf.kernels.availability import kernels_in_words
    from dreamfoundry.run.workers.distiller import load_resident_prior

    started_s = time.monotonic()
    prior = load_resident_prior(resolved.prior, device, prior_engine)
    load_s = time.monotonic() - started_s

    known = known_memory(prior, resolved)
    identity = prior.identity
    print(f"prior     {identity.prior_id} {identity.revision} ({identity.license}), weights {identity.digest[:16]}…")
    for lora in identity.loras:
        print(f"          with {lora.weight:g} of {lora.lora_id} ({lora.license}), {lora.digest[:16]}…")
    if identity.vae:
        print(f"          with VAE {identity.vae.vae_id} ({identity.vae.license}), {identity.vae.digest[:16]}…")
    print(f"loaded    in {load_s:.1f} s, {prior.num_bytes / MIB:.0f} MiB, {prior.precision} on {device}")
    print(f"kernels   {kernels_in_words(prior.device)}")
    print(f"per slot  {known.per_slot_bytes / MIB:.1f} MiB of parameters, gradients and moments")

    most = most_slots or (MOST_ON_CPU if device == "cpu" else MOST_ON_GPU)
    fit = examine(prior, resolved, device, most_slots=most)
    roofline = measured_roofline(prior, resolved, device)
    flop, pace = roofline.flop.picture_flop(computes_twice=False), roofline.ceilings
    print(
        f"pace      {pace.flop_per_s / 1e12:.3g} TFLOP/s in large products, {pace.bytes_per_s / 1e9:.0f} GB/s in copies"
    )
    print(f"work      {flop / 1e12:.3g} TFLOP of the prior for a picture")
    print_fit(fit, resolved, roofline)
    return EXIT_CODES["complete"]


def print_fit(fit: Fit, recipe: Recipe, roofline: Roofline) -> None:
    """A line for each number of slots, and the fastest."""
    print(f"memory    {fit.usable_bytes / MIB:.0f} MiB may be used", end="")
    print(", the text encoder waits on the host" if fit.text_encoder_on_host else "")

    print(
        f"\n{'slots':>5} {'predicted':>12} {'measured':>12} {'VAE keeps':>10} {'at least':>10} {'step':>10} "
        f"{'asset':>10} {'assets':>12}"
    )
    for trial in fit.trials:
        asset_s = trial.asset_s(recipe)
        computes_twice = 0 < trial.vae_rows < trial.num_slots * recipe.optimize.views_per_step
        print(
            f"{trial.num_slots:5} {trial.predicted_bytes / MIB:8.0f} MiB {trial.peak_bytes / MIB:8.0f} MiB "
            f"{trial.vae_rows or '-':>10} {roofline.step_s(trial.num_slots, computes_twice=computes_twice):8.3f} s "
            f"{trial.step_s:8.3f} s {asset_s:8.1f} s {3600.0 / asset_s:6.0f} an hour"
        )
    if fit.too_many:
        print(f"{fit.too_many:5} {fit.model.at(fit.too_many) / MIB:8.0f} MiB   does not fit")
    print(f"\n--slots {fit.best.num_slots} is the fastest for an asset of those that fit")
