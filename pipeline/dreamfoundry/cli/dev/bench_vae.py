"""Compare the gradient that pictures get through a prior's VAE encoder in half precisions with the exact one.

examples:
  dreamfoundry dev bench-vae                                the shapes of Stable Diffusion 2.1 with random weights
  dreamfoundry dev bench-vae --recipe my_recipe.toml        the prior of a recipe, and its prior.vae if it has one

Each line is one encoder, a number of views, and the size of the gradient's elements before a step divides them by the
number of latents. A CPU takes minutes for each line in float16, since it has no fast convolutions in it.

exit codes:
   0  compared
   1  the prior cannot be used
   4  the command line or the recipe cannot be used
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Device, Positive
from dreamfoundry.run.exit_codes import EXIT_CODES

app = command_app("bench-vae", __doc__)


@app.default
def bench_vae(
    *,
    recipe: Annotated[str, Parameter(help="a recipe whose prior has a VAE [default: random weights]")] = "",
    picture_px: Annotated[Positive, Parameter(help="side of the pictures; rounding hardly depends on it")] = 64,
    device: Device = "cpu",
) -> int:
    """Print an error for each encoder, number of views and size; the exit code."""
    # two encoders in float32 and their copies, not a whole prior
    from dreamfoundry.evaluation.benchmark.vae_gradients import encoders_of, gradient_errors

    own, other = encoders_of(recipe, device)
    print("encoder               views  size  relative error  cosine  zeros")
    for line in gradient_errors(own, other, picture_px):
        print(
            f"{line.encoder:20}  {line.num_views:5}  {line.size:4g}  {line.relative:14.4f}  {line.cosine:6.4f}  "
            f"{line.zeros_share:5.0%}",
            flush=True,
        )
    return EXIT_CODES["complete"]
