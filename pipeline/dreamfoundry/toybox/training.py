"""Training of the bundled prior: a pixel-space text-to-picture model in DeepFloyd IF's layout.

The UNet predicts v (Salimans & Ho 2022); a tiny T5 encoder is trained along with it. Every
picture is made on the fly from traced view buffers. Most timesteps are drawn from the noisier part
of the schedule, because that is what score distillation asks about.

Dimension key:  B pictures · H pixels per side · L tokens
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from jaxtyping import Float, Int
from safetensors.torch import load_file, load_model
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import mse_loss, normalize
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from dreamfoundry.diffusion.noising import add_noise
from dreamfoundry.diffusion.prompts import view_index, view_words
from dreamfoundry.nerf.cameras import Cameras, sample_cameras
from dreamfoundry.nerf.shading import sample_lights
from dreamfoundry.settings.distillation import CameraConfig, ShadingConfig
from dreamfoundry.settings.prior import BACKGROUND_LEVELS, WordingConfig
from dreamfoundry.toybox.captions import COLORS, KINDS, VOCABULARY, held_out_pairs, training_caption
from dreamfoundry.toybox.toys import ROLES, role_palette, toy
from dreamfoundry.toybox.views import ViewBuffers, shade, trace

MAX_TOKENS = 16
PLAIN_VIEWS = 0.15
"""Share of the captions that name the view by the four words of the default wording."""

NOISY_PART = 0.3
"""Fraction of the schedule below which only NOISY_PART / 3 of the timesteps are drawn."""

NOISIEST_PART = 0.85
"""Fraction of the schedule above which a picture hardly shows which way its toy is turned."""


@dataclass(frozen=True)
class TrainingConfig:
    """One training run; the learning rate warms up and then follows a cosine to its end."""

    picture_px: int = 32
    num_steps: int = 8_000
    batch_size: int = 16
    views_per_kind: int = 480
    learning_rate: float = 1.2e-3
    warmup_steps: int = 200
    ema_decay: float = 0.999
    block_out_channels: tuple[int, ...] = (32, 64, 128, 160)
    text_width: int = 96
    seed: int = 0
    checkpoint_every_s: float = 180.0
    noisiest_share: float = 0.0
    """Share of the timesteps drawn above NOISIEST_PART: only there do view words have to be listened to."""
    bf16: bool = False
    """Multiply in bfloat16 (weights and error stay float32): faster where the CPU has AVX512-BF16."""

    def rate(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps)
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(progress, 1.0))).item())
        return self.learning_rate * (0.02 + 0.98 * cosine)


@dataclass(frozen=True)
class ViewLibrary:
    """Traced views of every kind and the words for each: the whole training set but its colours.

    `views` names each view twice: in the default wording and in that of the recipe.
    """

    buffers: ViewBuffers
    kinds: list[str]
    views: list[tuple[str, str]]
    camera_positions: Float[Tensor, "N 3"]


def trace_library(config: TrainingConfig, cameras: CameraConfig, wording: WordingConfig, folder: Path) -> ViewLibrary:
    """Trace `views_per_kind` views of every kind, or read them from an earlier run in `folder`."""
    cached = folder / f"views-{config.picture_px}px-{config.views_per_kind}.pt"
    if cached.exists():
        data = torch.load(cached, weights_only=True)
    else:
        data = _trace_all(config, cameras)
        folder.mkdir(parents=True, exist_ok=True)
        partial = cached.with_suffix(".partial")
        torch.save(data, partial)
        partial.replace(cached)
    named = []
    for names in (WordingConfig(), wording):
        words = view_words(names)
        named.append([words[index] for index in view_index(data["azimuth_deg"], data["elevation_deg"], names)])
    return ViewLibrary(
        ViewBuffers(data["roles"], data["normals"]),
        data["kinds"],
        list(zip(*named, strict=True)),
        data["camera_positions"],
    )


def _trace_all(config: TrainingConfig, cameras: CameraConfig) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(config.seed)
    roles, normals, kinds, positions, azimuths_deg, elevations_deg = [], [], [], [], [], []
    for kind in KINDS:
        for start in range(0, config.views_per_kind, 16):
            batch: Cameras = sample_cameras(cameras, min(16, config.views_per_kind - start), generator)
            buffers = trace(toy(kind), batch, config.picture_px)
            roles.append(buffers.roles)
            normals.append(buffers.normals)
            positions.append(batch.positions)
            kinds += [kind] * len(batch.fovy_deg)
            azimuths_deg.append(batch.azimuth_deg)
            elevations_deg.append(batch.elevation_deg)
    return {
        "roles": torch.cat(roles),
        "normals": torch.cat(normals),
        "camera_positions": torch.cat(positions),
        "kinds": kinds,
        "azimuth_deg": torch.cat(azimuths_deg),
        "elevation_deg": torch.cat(elevations_deg),
    }


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One id per word of the vocabulary, split at blanks and commas."""
    words = ["<pad>", "<unk>", *VOCABULARY]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=MAX_TOKENS
    )


def build_models(config: TrainingConfig, num_words: int) -> tuple[T5EncoderModel, UNet2DConditionModel]:
    """A tiny T5 encoder and a small UNet that sees the text by attention and in its time embedding."""
    torch.manual_seed(config.seed)
    text_encoder = T5EncoderModel(
        T5Config(
            vocab_size=num_words,
            d_model=config.text_width,
            d_kv=24,
            d_ff=2 * config.text_width,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
        )
    )
    levels = len(config.block_out_channels)
    unet = UNet2DConditionModel(
        sample_size=config.picture_px,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=config.block_out_channels,
        down_block_types=("DownBlock2D",) * (levels - 1) + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * (levels - 1),
        cross_attention_dim=128,
        encoder_hid_dim=config.text_width,
        encoder_hid_dim_type="text_proj",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        attention_head_dim=32,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
    )
    return text_encoder, unet.to(memory_format=torch.channels_last)


def build_scheduler() -> DDPMScheduler:
    return DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        variance_type="fixed_small",
        clip_sample=True,
    )


def training_batch(
    library: ViewLibrary, config: TrainingConfig, shading: ShadingConfig, step: int
) -> tuple[Float[Tensor, "B 3 H H"], list[str]]:
    """Pictures in [-1, 1] and their captions; a function of the step alone, so runs can resume."""
    rng = random.Random(f"{config.seed}/{step}")
    generator = torch.Generator().manual_seed(rng.getrandbits(63))
    held_out = held_out_pairs()
    chosen, palettes, ambient, levels, captions = [], [], [], [], []
    for _ in range(config.batch_size):
        index = rng.randrange(len(library.kinds))
        kind = library.kinds[index]
        color = rng.choice([color for color in COLORS if (color, kind) not in held_out])
        background = rng.choice(list(BACKGROUND_LEVELS))
        textureless = rng.random() < 0.08
        chosen.append(index)
        palettes.append(torch.full((len(ROLES), 3), 0.8) if textureless else role_palette(color))
        ambient.append(_lit(rng) if textureless else draw_ambient_ratio(rng))
        levels.append(BACKGROUND_LEVELS[background])
        view = library.views[index][rng.random() > PLAIN_VIEWS]
        captions.append(training_caption(color, kind, view, background, textureless=textureless, rng=rng))
    pictures = draw_pictures(
        library,
        torch.tensor(chosen),
        torch.stack(palettes),
        torch.tensor(ambient),
        torch.tensor(levels),
        shading,
        generator,
    )
    return pictures, captions


def draw_ambient_ratio(rng: random.Random) -> float:
    """Light of one picture: 35 % show the albedo alone (1), the others are lit."""
    return 1.0 if rng.random() < 0.35 else _lit(rng)


def _lit(rng: random.Random) -> float:
    return rng.uniform(0.3, 0.6)


def draw_pictures(
    library: ViewLibrary,
    chosen: Int[Tensor, " B"],
    palettes: Float[Tensor, "B roles 3"],
    ambient_ratio: Float[Tensor, " B"],
    backgrounds: Float[Tensor, " B"],
    shading: ShadingConfig,
    generator: torch.Generator,
) -> Float[Tensor, "B 3 H H"]:
    """The `chosen` views in these colours, each under a light of its own; values in [-1, 1]."""
    pictures = shade(
        ViewBuffers(library.buffers.roles[chosen], library.buffers.normals[chosen]),
        palettes,
        normalize(sample_lights(library.camera_positions[chosen], shading, generator), dim=-1),
        ambient_ratio,
        backgrounds,
    )
    return pictures * 2 - 1


def diffusion_loss(
    unet: UNet2DConditionModel,
    embeds: Float[Tensor, "B L D"],
    pictures: Float[Tensor, "B 3 H H"],
    alphas_cumprod: Float[Tensor, " timesteps"],
    generator: torch.Generator,
    noisiest_share: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean squared error of v = sqrt(abar) noise - sqrt(1 - abar) x, every timestep alike.

    In the noisy limit v is -x, so that the error there is the error of the picture itself.
    """
    num_pictures = len(pictures)
    share = torch.rand(num_pictures, generator=generator)
    low = torch.rand(num_pictures, generator=generator) < NOISY_PART / 3
    fraction = torch.where(low, share * NOISY_PART, NOISY_PART + share * (1 - NOISY_PART))
    noisiest = torch.rand(num_pictures, generator=generator) < noisiest_share
    fraction = torch.where(noisiest, NOISIEST_PART + share * (1 - NOISIEST_PART), fraction)
    timesteps: Int[Tensor, " B"] = (fraction * len(alphas_cumprod)).long()
    noise = torch.randn(pictures.shape, generator=generator)
    signal = alphas_cumprod[timesteps][:, None, None, None]
    noisy = add_noise(pictures, noise, alphas_cumprod[timesteps])
    velocity = signal.sqrt() * noise - (1 - signal).sqrt() * pictures
    predicted = unet(noisy.contiguous(memory_format=torch.channels_last), timesteps, embeds).sample
    return mse_loss(predicted.float(), velocity)


def _start_text_encoder(text_encoder: T5EncoderModel, weights: Path) -> None:
    """Load earlier weights; words that the vocabulary has gained since keep their random embedding."""
    earlier, words = load_file(weights), text_encoder.shared.weight.detach().clone()
    words[: len(earlier["shared.weight"])] = earlier["shared.weight"]
    text_encoder.load_state_dict(earlier | {"shared.weight": words, "encoder.embed_tokens.weight": words})


class Trainer:
    """Models, optimizer and running average of one run; `run` continues from the last checkpoint.

    `start_from` is a folder of earlier weights (as `export` writes them) to begin with instead of
    random ones; the checkpoint of this run, if there is one, goes before it.
    """

    def __init__(
        self,
        config: TrainingConfig,
        shading: ShadingConfig,
        library: ViewLibrary,
        folder: Path,
        start_from: Path | None = None,
    ) -> None:
        self.config, self.shading, self.library, self.folder = config, shading, library, folder
        self.tokenizer = build_tokenizer()
        self.text_encoder, self.unet = build_models(config, len(self.tokenizer))
        if start_from is not None:
            _start_text_encoder(self.text_encoder, start_from / "text_encoder" / "model.safetensors")
            load_model(self.unet, start_from / "unet" / "diffusion_pytorch_model.safetensors")
        self.scheduler = build_scheduler()
        self.weights = [*self.text_encoder.parameters(), *self.unet.parameters()]
        self.average = [weight.detach().clone() for weight in self.weights]
        self.optimizer = torch.optim.AdamW(self.weights, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
        self.step = 0
        self.losses: list[float] = []
        self._resume()

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    def run(self, report: Callable[[int, float, float], None], until_step: int | None = None) -> None:
        """Train to the last step, or to an earlier one, and leave a checkpoint there.

        `report(step, loss, steps_per_s)` is called every 50 steps.
        """
        last_step = self.config.num_steps if until_step is None else until_step
        abar = self.scheduler.alphas_cumprod
        saved_at = started_at = time.monotonic()
        first_step = self.step
        while self.step < last_step:
            pictures, captions = training_batch(self.library, self.config, self.shading, self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.rate(self.step)
            generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bf16):
                loss = diffusion_loss(
                    self.unet, self.embed(captions), pictures, abar, generator, self.config.noisiest_share
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
            self.optimizer.step()
            self.step += 1
            decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self.average, [weight.detach() for weight in self.weights], 1 - decay)
            self.losses.append(loss.item())
            if self.step % 50 == 0:
                rate = (self.step - first_step) / (time.monotonic() - started_at)
                report(self.step, sum(self.losses[-50:]) / 50, rate)
            if time.monotonic() - saved_at > self.config.checkpoint_every_s:
                self.save_checkpoint()
                saved_at = time.monotonic()
        self.save_checkpoint()

    def embed(self, captions: list[str]) -> Float[Tensor, "B L D"]:
        tokens = self.tokenizer(
            captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
        )
        embeds: Tensor = self.text_encoder(tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        return embeds

    def save_checkpoint(self) -> None:
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(
            {
                "config": json.dumps(asdict(self.config)),
                "step": self.step,
                "losses": self.losses,
                "weights": self.weights,
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
            },
            partial,
        )
        partial.replace(self.checkpoint_path)

    def _resume(self) -> None:
        if not self.checkpoint_path.exists():
            return
        data = torch.load(self.checkpoint_path, weights_only=True)
        if data["config"] != json.dumps(asdict(self.config)):
            raise ValueError(f"{self.checkpoint_path} belongs to another configuration: {data['config']}")
        self.step, self.losses = data["step"], data["losses"]
        with torch.no_grad():
            for weight, average, saved, saved_average in zip(
                self.weights, self.average, data["weights"], data["average"], strict=True
            ):
                weight.copy_(saved)
                average.copy_(saved_average)
        self.optimizer.load_state_dict(data["optimizer"])

    def export(self, folder: Path) -> None:
        """Write the averaged weights as fp16 safetensors in the layout of diffusers' IFPipeline."""
        kept = [weight.detach().clone() for weight in self.weights]
        with torch.no_grad():
            for weight, average in zip(self.weights, self.average, strict=True):
                weight.copy_(average.half().float())
        folder.mkdir(parents=True, exist_ok=True)
        for name, model in (("text_encoder", self.text_encoder), ("unet", self.unet)):
            model.half().save_pretrained(folder / name, safe_serialization=True)
            model.float()
        self.tokenizer.backend_tokenizer.no_truncation()  # what the last call asked for would be saved with it
        self.tokenizer.backend_tokenizer.no_padding()
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.scheduler.save_pretrained(folder / "scheduler")
        index = {
            "_class_name": "IFPipeline",
            "scheduler": ["diffusers", "DDPMScheduler"],
            "text_encoder": ["transformers", "T5EncoderModel"],
            "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
            "unet": ["diffusers", "UNet2DConditionModel"],
        }
        (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
        with torch.no_grad():
            for weight, saved in zip(self.weights, kept, strict=True):
                weight.copy_(saved)
