"""The training loop: resumable, deterministic, and exported in diffusers' layout.

Dimension key:  B pictures · L tokens · D width of the embeddings
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, load_model
from torch import Tensor
from transformers import T5EncoderModel

from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.distillation import ShadingConfig
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import PictureDraws, TracedViews, draw_batch, draw_pictures, to_device
from dreamfoundry.toybox.training.loss import diffusion_loss
from dreamfoundry.toybox.training.model import MAX_TOKENS, build_models, build_scheduler, build_tokenizer
from dreamfoundry.toybox.training.prefetch import prefetched

REPORT_EVERY = 50
"""Steps from one report to the next; each names the mean loss over as many. Losses are read from the device then."""

PIPELINE_INDEX = {
    "_class_name": "IFPipeline",
    "scheduler": ["diffusers", "DDPMScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
    "unet": ["diffusers", "UNet2DConditionModel"],
}
"""model_index.json of the exported folder."""


@dataclass(frozen=True)
class Batch:
    """Draws of a step, and the tokens of its captions on the device."""

    draws: PictureDraws
    token_ids: Int[Tensor, "B L"]
    is_token: Int[Tensor, "B L"]


class Trainer:
    """Models, optimizer and running average of one run; `run` continues from the last checkpoint.

    `start_from` is a folder of earlier weights (as `export` writes them) to begin with instead of
    random ones; the checkpoint of this run, if there is one, goes before it.
    """

    def __init__(
        self,
        config: TrainingConfig,
        shading: ShadingConfig,
        views: TracedViews,
        folder: Path,
        start_from: Path | None = None,
        device: str = "cpu",
    ) -> None:
        self.config, self.shading, self.views, self.folder = config, shading, views, folder
        self.device = torch.device(device)
        self.tokenizer = build_tokenizer()
        self.text_encoder, self.unet = build_models(config, len(self.tokenizer))
        if start_from is not None:
            _load_text_encoder(self.text_encoder, start_from / "text_encoder" / "model.safetensors")
            load_model(self.unet, start_from / "unet" / "diffusion_pytorch_model.safetensors")

        for part in (self.text_encoder, self.unet):
            torch.nn.Module.to(part, self.device)  # their own `to` has no types
        self.scheduler = build_scheduler()
        self.alphas_cumprod = self.scheduler.alphas_cumprod.to(self.device)
        self._buffers = views.buffers.to(self.device)
        self.weights = [*self.text_encoder.parameters(), *self.unet.parameters()]
        self.average = [weight.detach().clone() for weight in self.weights]
        self.optimizer = torch.optim.AdamW(
            self.weights,
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True if self.device.type == "cuda" else None,
        )
        self.step = 0
        self.trained_s = 0.0
        self.losses: list[float] = []
        self._unread: list[Tensor] = []
        self._resume()

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    def run(self, report: Callable[[int, float, float], None], until_step: int | None = None) -> None:
        """Train to the last step or the time limit, or to an earlier step, and leave a checkpoint there.

        `report(step, loss, steps_per_s)` is called every REPORT_EVERY steps.
        """
        saved_at = started_at = time.monotonic()
        first_step, trained_before_s = self.step, self.trained_s

        for batch in prefetched(self.batch, self._steps(until_step)):
            self._unread.append(self._train_step(batch))
            self.trained_s = trained_before_s + time.monotonic() - started_at

            if self.step % REPORT_EVERY == 0:
                self._read_losses()
                steps_per_s = (self.step - first_step) / (time.monotonic() - started_at)
                report(self.step, sum(self.losses[-REPORT_EVERY:]) / REPORT_EVERY, steps_per_s)

            if time.monotonic() - saved_at > self.config.checkpoint_every_s:
                self.save_checkpoint()
                saved_at = time.monotonic()
        self.save_checkpoint()

    def _steps(self, until_step: int | None) -> Iterable[int]:
        """The steps from the present one on. A time limit ends them; those already prefetched are still made."""
        limit_s = self.config.time_limit_s
        if until_step is None and limit_s:
            return itertools.takewhile(lambda step: self.trained_s < limit_s, itertools.count(self.step))
        return range(self.step, self.config.num_steps if until_step is None else until_step)

    def batch(self, step: int) -> Batch:
        """Draws and tokens as a function of the step alone. A thread makes them while earlier steps are computed."""
        draws = draw_batch(self.views, self.config, self.shading, step)
        tokens = self.tokenizer(
            draws.captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
        )
        return Batch(draws, *(to_device(part, self.device) for part in (tokens.input_ids, tokens.attention_mask)))

    def loss_of(self, batch: Batch) -> Float[Tensor, ""]:
        """The loss of a batch with the noise of the present step, on the device."""
        config = self.config
        pictures = draw_pictures(self._buffers, batch.draws)
        generator = torch.Generator(self.device).manual_seed((config.seed * 1_000_003 + self.step) % 2**63)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            embeds = self.text_encoder(batch.token_ids, attention_mask=batch.is_token).last_hidden_state
            return diffusion_loss(self.unet, embeds, pictures, self.alphas_cumprod, generator, config.noisiest_share)

    def _train_step(self, batch: Batch) -> Float[Tensor, ""]:
        """Update weights and running average once; the loss, which stays on the device."""
        loss = self.loss_of(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(self.step, self.trained_s)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.step += 1

        # a short memory at first, or the average would keep the random start for a thousand steps
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, [weight.detach() for weight in self.weights], 1 - decay)
        return loss.detach()

    def _read_losses(self) -> None:
        """Move the losses of the last steps to the host, all at once: this waits for the device."""
        self.losses += torch.stack(self._unread).tolist() if self._unread else []
        self._unread.clear()

    def save_checkpoint(self) -> None:
        """Replace the checkpoint atomically by the present state."""
        self._read_losses()
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(
            {
                "config": json.dumps(asdict(self.config)),
                "step": self.step,
                "trained_s": self.trained_s,
                "losses": self.losses,
                "weights": self.weights,
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
            },
            partial,
        )
        partial.replace(self.checkpoint_path)

    def _resume(self) -> None:
        """Continue from the checkpoint, if there is one. ConfigError if it has other settings."""
        if not self.checkpoint_path.exists():
            return
        data = torch.load(self.checkpoint_path, map_location=self.device, weights_only=True)
        if data["config"] != json.dumps(asdict(self.config)):
            remedy = "train with these settings, or choose another --output"
            raise ConfigError(f"{self.checkpoint_path} is of other settings: {data['config']}; {remedy}")
        self.step, self.trained_s, self.losses = data["step"], data["trained_s"], data["losses"]
        _copy(data["weights"], self.weights)
        _copy(data["average"], self.average)
        self.optimizer.load_state_dict(data["optimizer"])

    def export(self, folder: Path) -> None:
        """Write the averaged weights as fp16 safetensors in the layout of diffusers' IFPipeline."""
        folder.mkdir(parents=True, exist_ok=True)
        with self._averaged_weights():
            for name, model in (("text_encoder", self.text_encoder), ("unet", self.unet)):
                model.half().save_pretrained(folder / name, safe_serialization=True)
                model.float()

        # the tokenizer would save what the last call asked for
        self.tokenizer.backend_tokenizer.no_truncation()
        self.tokenizer.backend_tokenizer.no_padding()
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.scheduler.save_pretrained(folder / "scheduler")
        (folder / "model_index.json").write_text(json.dumps(PIPELINE_INDEX, indent=2) + "\n")

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Exchange the weights for their running average, rounded to fp16, for as long as the context lasts."""
        kept = [weight.detach().clone() for weight in self.weights]
        _copy([average.half().float() for average in self.average], self.weights)
        yield
        _copy(kept, self.weights)


@torch.no_grad()
def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


def _load_text_encoder(text_encoder: T5EncoderModel, weights: Path) -> None:
    """Load earlier weights; words added to the vocabulary since then keep their random embedding."""
    earlier, words = load_file(weights), text_encoder.shared.weight.detach().clone()
    words[: len(earlier["shared.weight"])] = earlier["shared.weight"]
    text_encoder.load_state_dict(earlier | {"shared.weight": words, "encoder.embed_tokens.weight": words})
