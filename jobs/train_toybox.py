"""Train the bundled toybox prior on renders of procedural toys.

    python jobs/train_toybox.py                       about 90 minutes on two CPU cores
    python jobs/train_toybox.py --num-steps 200 --output out/toybox-try --weights out/toybox-try/weights

Runs are deterministic and resume from their last checkpoint (written every few minutes). At the
end the averaged weights are written in diffusers' IFPipeline layout, next to a loss plot and a
grid of samples, and a table says how much the new prior listens to its captions.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT, restart_with


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/toybox"), help="checkpoints, plot and samples")
    parser.add_argument("--weights", type=Path, help="where to write the weights (default: OUTPUT/weights)")
    parser.add_argument("--start-from", type=Path, help="a folder of earlier weights to begin with")
    parser.add_argument("--picture-px", type=int, default=32)
    parser.add_argument("--num-steps", type=int, default=8_000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--views-per-kind", type=int, default=480)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noisiest-share", type=float, default=0.0, help="timesteps from the noisiest 15 %%, extra")
    parser.add_argument("--bf16", action="store_true", help="faster on CPUs with AVX512-BF16 instructions")
    parser.add_argument("--export-only", action="store_true", help="write the weights of the last checkpoint")
    arguments = parser.parse_args()

    from dreamfoundry.diffusion.loading import load_prior
    from dreamfoundry.settings.loading import bundled_recipe
    from dreamfoundry.settings.prior import PriorConfig
    from dreamfoundry.toybox.caption_sensitivity import caption_errors
    from dreamfoundry.toybox.training import plots
    from dreamfoundry.toybox.training.config import TrainingConfig
    from dreamfoundry.toybox.training.dataset import trace_views
    from dreamfoundry.toybox.training.trainer import Trainer

    config = TrainingConfig(
        picture_px=arguments.picture_px,
        num_steps=arguments.num_steps,
        batch_size=arguments.batch_size,
        views_per_kind=arguments.views_per_kind,
        seed=arguments.seed,
        noisiest_share=arguments.noisiest_share,
        bf16=arguments.bf16,
    )
    recipe = bundled_recipe("toybox")
    started_at = time.monotonic()
    print("tracing views of the toys …", flush=True)
    views = trace_views(config, recipe.cameras, recipe.wording, arguments.output)
    print(f"{len(views.kinds)} views after {time.monotonic() - started_at:.0f} s", flush=True)
    trainer = Trainer(config, recipe.shading, views, arguments.output, arguments.start_from)

    def report(step: int, loss: float, steps_per_s: float) -> None:
        left_min = (config.num_steps - step) / steps_per_s / 60
        text = f"step {step}/{config.num_steps}  loss {loss:.4f}  {steps_per_s:.2f} steps/s  ETA {left_min:.0f} min"
        print(text, flush=True)

    if not arguments.export_only:
        trainer.run(report)
    weights = arguments.weights or arguments.output / "weights"
    trainer.export(weights)
    plots.loss_plot(trainer.losses).save(arguments.output / "loss.png")
    prior = load_prior(PriorConfig(path=str(weights), license="Apache-2.0"))
    plots.sample_grid(prior).save(arguments.output / "samples.png")
    print("error of the clean picture by share of the schedule, for captions that are …")
    for share, errors in caption_errors(prior, views, config, recipe.shading).items():
        print(f"  {share:.2f}: " + ", ".join(f"{name} {error:.4f}" for name, error in errors.items()))
    num_parameters = sum(weight.numel() for weight in trainer.weights)
    print(
        f"trained {trainer.step} steps of {config.batch_size}, {num_parameters / 1e6:.1f} M parameters, "
        f"last loss {sum(trainer.losses[-200:]) / max(1, len(trainer.losses[-200:])):.4f}"
    )
    return 0


if __name__ == "__main__":
    restart_with(CPU_ENVIRONMENT)
    sys.exit(main())
