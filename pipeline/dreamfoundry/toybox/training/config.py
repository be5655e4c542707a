"""Settings of one training run."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training run; a checkpoint of a run with other settings is refused."""

    picture_px: int = 32
    num_steps: int = 8_000
    batch_size: int = 16
    views_per_kind: int = 480
    learning_rate: float = 1.2e-3
    """The highest one, reached after `warmup_steps`."""
    warmup_steps: int = 200
    ema_decay: float = 0.999
    """Of the running average of the weights, which is what ships."""
    block_out_channels: tuple[int, ...] = (32, 64, 128, 160)
    text_width: int = 96
    """Width of the text embeddings."""
    seed: int = 0
    checkpoint_every_s: float = 180.0
    noisiest_share: float = 0.0
    """Share of the timesteps drawn from the noisiest 15 %, the only ones where view words matter."""
    bf16: bool = False
    """Multiply in bfloat16 (weights and error stay float32): faster on GPUs, and where the CPU has AVX512-BF16."""
    time_limit_s: float = 0.0
    """Train for this time, whatever `num_steps` is; 0 for `num_steps`. Such a run does not repeat itself exactly."""

    def learning_rate_at(self, step: int, trained_s: float = 0.0) -> float:
        """Learning rate of a step: linear warm-up, then cosine decay to 2 % of the highest.

        With a time limit the decay follows `trained_s`, the seconds that the run has trained so far.
        """
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.time_limit_s:
            progress = trained_s / self.time_limit_s
        else:
            progress = (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps)
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(progress, 1.0))).item())
        return self.learning_rate * (0.02 + 0.98 * cosine)
