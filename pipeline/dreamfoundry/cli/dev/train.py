"""Train the bundled toybox prior on renders of procedural toys.

examples:
  dreamfoundry dev train                       about 90 minutes on two CPU cores
  dreamfoundry dev train --num-steps 200 --output out/toybox-try --weights out/toybox-try/weights
  dreamfoundry dev train --device cuda --bf16 --batch-size 64 --time-limit-s 600
  dreamfoundry dev train --trace-only          the views alone, as one file that another machine can be given

Runs resume from their last checkpoint (written every few minutes). On a CPU they are deterministic,
unless a time limit ends them: the learning rate then falls with the clock. At the
end the averaged weights are written in diffusers' IFPipeline layout, next to a loss plot and a
grid of samples, and a table of the denoising error under correct and wrong captions.

exit codes:
   0  trained
   1  the GPU cannot be used
   4  the command line cannot be used
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Device, Flag, OutputFolder, Positive, Seconds, Seed
from dreamfoundry.errors import ConfigError
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT, restart_with
from dreamfoundry.run.exit_codes import EXIT_CODES

if TYPE_CHECKING:
    from dreamfoundry.toybox.training.config import TrainingConfig
    from dreamfoundry.toybox.training.dataset import TracedViews
    from dreamfoundry.toybox.training.trainer import Trainer

CHECKPOINT = "checkpoint.pt"
"""As `Trainer.checkpoint_path`, whose module imports torch."""

app = command_app("train", __doc__)


@Parameter(name="*", group="Training")
@dataclass(frozen=True)
class TrainingFlags:
    """Fields of `TrainingConfig`, whose module imports torch."""

    picture_px: Positive = 32
    num_steps: Positive = 8_000
    batch_size: Positive = 16
    views_per_kind: Positive = 480
    seed: Seed = 0
    noisiest_share: Annotated[float, Parameter(validator=Number(gte=0.0, lte=1.0))] = 0.0
    """timesteps from the noisiest 15 %, extra"""
    bf16: Annotated[Flag, Parameter(help="faster on GPUs, and on CPUs with AVX512-BF16 instructions")] = False
    time_limit_s: Seconds = 0.0
    """train for so long, whatever --num-steps says; 0: no limit"""


@app.default
def train(
    *,
    output: Annotated[OutputFolder, Parameter(help="checkpoints, plot and samples")] = Path("out/toybox"),
    weights: Annotated[
        OutputFolder | None, Parameter(help="where to write the weights [default: OUTPUT/weights]")
    ] = None,
    start_from: Annotated[Path | None, Parameter(help="a folder of earlier weights to begin with")] = None,
    training: TrainingFlags = TrainingFlags(),
    device: Device = "cpu",
    trace_only: Annotated[Flag, Parameter(help="only trace the views into OUTPUT")] = False,
    export_only: Annotated[Flag, Parameter(help="write the weights of the last checkpoint")] = False,
) -> int:
    """Train or continue in `output`, write the weights, and report on them; the exit code."""
    if export_only and not (output / CHECKPOINT).exists():
        raise ConfigError(f"--export-only: {output / CHECKPOINT}: no such file; train first, or name its --output")
    if start_from is not None and not (start_from / "unet").is_dir():
        raise ConfigError(f"--start-from {start_from}: no weights there; name a folder that a training has written")
    restart_with(CPU_ENVIRONMENT)

    from dreamfoundry.distill.device import try_device
    from dreamfoundry.settings.loading import bundled_recipe
    from dreamfoundry.toybox.training.config import TrainingConfig
    from dreamfoundry.toybox.training.trainer import Trainer

    try_device(device)
    config = TrainingConfig(**dataclasses.asdict(training))
    views = traced_views(config, output)
    if not trace_only:
        shading = bundled_recipe("toybox").shading
        trainer = Trainer(config, shading, views, output, start_from, device)
        if not export_only:
            trainer.run(partial(report, trainer))
        trainer.export(weights or output / "weights")
        report_on_weights(trainer, weights or output / "weights", output)
    return EXIT_CODES["complete"]


def traced_views(config: TrainingConfig, output: Path) -> TracedViews:
    """Views of the toys, traced into `output` or found there."""
    from dreamfoundry.settings.loading import bundled_recipe
    from dreamfoundry.toybox.training.dataset import trace_views

    recipe = bundled_recipe("toybox")
    started_at = time.monotonic()
    print("tracing views of the toys …", flush=True)
    views = trace_views(config, recipe.cameras, recipe.wording, output)
    print(f"{len(views.kinds)} views after {time.monotonic() - started_at:.0f} s", flush=True)
    return views


def report(trainer: Trainer, step: int, loss: float, steps_per_s: float) -> None:
    """Print a line about a running training."""
    config = trainer.config
    left_s = config.time_limit_s - trainer.trained_s if config.time_limit_s else (config.num_steps - step) / steps_per_s
    goal = "" if config.time_limit_s else f"/{config.num_steps}"
    print(f"step {step}{goal}  loss {loss:.4f}  {steps_per_s:.2f} steps/s  ETA {left_s / 60:.0f} min", flush=True)


def report_on_weights(trainer: Trainer, weights: Path, output: Path) -> None:
    """Write loss plot and samples of the exported `weights`, and print their caption sensitivity."""
    from dreamfoundry.diffusion.loading import load_prior
    from dreamfoundry.settings.prior import PriorConfig
    from dreamfoundry.toybox.caption_sensitivity import caption_errors
    from dreamfoundry.toybox.training.plots import loss_plot, sample_grid

    loss_plot(trainer.losses).save(output / "loss.png")
    prior = load_prior(PriorConfig(path=str(weights), license="Apache-2.0"))
    sample_grid(prior).save(output / "samples.png")

    print("denoising error by fraction of the schedule, under captions that are …")
    for fraction, errors in caption_errors(prior, trainer.views, trainer.config, trainer.shading).items():
        print(f"  {fraction:.2f}: " + ", ".join(f"{name} {error:.4f}" for name, error in errors.items()))

    num_parameters = sum(weight.numel() for weight in trainer.weights)
    last = trainer.losses[-200:]
    print(
        f"trained {trainer.step} steps of {trainer.config.batch_size}, {num_parameters / 1e6:.1f} M parameters, "
        f"last loss {sum(last) / max(1, len(last)):.4f}"
    )
