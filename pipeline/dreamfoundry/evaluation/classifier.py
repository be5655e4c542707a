"""Classifier guidance: the reference that classifier-free guidance of the toybox is compared with.

A small network names kind and colour of a noisy picture; the gradient of its log probability steers
the unconditional prior (Dhariwal & Nichol, arXiv 2105.05233, equation 14; Song et al., 2011.13456):

    guided = unconditional noise - scale * sqrt(1 - abar) * grad log p(kind, colour | noisy)

Dimension key:  B rows · C, h, w the latents (3 and the pixels of a side) · L tokens · D width · F features
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import log_softmax, silu

from dreamfoundry.diffusion.noising import add_noise
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.settings.distillation import ShadingConfig
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe
from dreamfoundry.settings.values import require
from dreamfoundry.toybox.captions import COLORS, KINDS, color_of, kind_of, words_of
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import TracedViews, trace_views, training_batch
from dreamfoundry.toybox.training.model import build_scheduler

WIDTHS = (16, 32, 64, 128)
"""Channels per resolution; each is half as many pixels wide as the one before."""

HARMONICS = 8
LEARNING_RATE = 2e-3

NUM_STEPS = 1_500
VIEWS_PER_KIND = 24
BATCH_SIZE = 32
"""Of the classifier that `cached_classifier` trains: about two minutes on two cores at 32 pixels."""

SCHEDULE_FRACTIONS = (0.9, 0.7, 0.5, 0.3)
"""Noise levels of `accuracy`, as fractions of the noise schedule; 1 is pure noise."""

ACCURACY_SEED, ACCURACY_PICTURES = 99, 512
"""Not a seed of training, so that the pictures are new."""

Labels = Int[Tensor, "B 2"]
"""Kind and colour, counted from 1 in the order of the palette; 0 is "not named"."""


def labels_of(texts: Sequence[str]) -> Labels:
    """Kind and colour that each text names; an untextured toy has no colour."""
    kinds, colors = ["", *KINDS], ["", *COLORS]
    rows = []
    for text in texts:
        color = "" if "untextured" in words_of(text) else color_of(text) or ""
        rows.append([kinds.index(kind_of(text) or ""), colors.index(color)])
    return torch.tensor(rows)


class _Block(nn.Module):
    """Half the pixels, other channels, with a scale and a shift that follow the noise."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels_in)
        self.halve = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1)
        self.refine = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.level = nn.Linear(2 * HARMONICS, 2 * channels_out)

    def forward(self, features: Tensor, level: Float[Tensor, "B F"]) -> Tensor:
        scale, shift = self.level(level)[:, :, None, None].chunk(2, dim=1)
        halved: Tensor = self.halve(silu(self.norm(features)))
        refined: Tensor = self.refine(silu(halved * (1.0 + scale) + shift))
        return halved + refined


class NoisyClassifier(nn.Module):
    """p(kind | noisy picture, timestep) and p(colour | …), for pictures in [-1, 1]."""

    alphas_cumprod: Float[Tensor, " timesteps"]

    def __init__(self, picture_px: int, alphas_cumprod: Float[Tensor, " timesteps"]) -> None:
        super().__init__()
        self.picture_px = picture_px
        self.register_buffer("alphas_cumprod", alphas_cumprod.clone())
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, padding=1)
        self.blocks = nn.ModuleList(_Block(*pair) for pair in itertools.pairwise(WIDTHS))
        self.norm = nn.GroupNorm(8, WIDTHS[-1])
        side = picture_px // 2 ** len(self.blocks)
        # Toys stand in the middle: where a part is says more about the kind than that it is there.
        self.kind_head = nn.Linear(WIDTHS[-1] * side * side, len(KINDS))
        self.color_head = nn.Linear(WIDTHS[-1], len(COLORS))

    def forward(
        self, noisy: Float[Tensor, "B C h w"], timesteps: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B kinds"], Float[Tensor, "B colors"]]:
        """Logits of the kinds and of the colours."""
        # sqrt(abar) and sqrt(1 - abar) are cosine and sine of an angle: its harmonics tell how noisy it is.
        angle = self.alphas_cumprod[timesteps].sqrt().clamp(0.0, 1.0).acos()
        multiples = angle[:, None] * torch.arange(1, HARMONICS + 1, device=angle.device)
        level = torch.cat([multiples.cos(), multiples.sin()], dim=1)
        features = self.stem(noisy)
        for block in self.blocks:
            features = block(features, level)
        features = silu(self.norm(features))
        return self.kind_head(features.flatten(1)), self.color_head(features.mean(dim=(2, 3)))

    def log_probability(
        self, noisy: Float[Tensor, "B C h w"], timesteps: Int[Tensor, " B"], labels: Labels
    ) -> Float[Tensor, " B"]:
        """log p(kind) + log p(colour); what is not named adds 0."""
        total = torch.zeros(len(noisy), device=noisy.device)
        for logits, label in zip(self(noisy, timesteps), labels.unbind(dim=1), strict=True):
            certain = torch.zeros(len(noisy), 1, device=noisy.device)
            table = torch.cat([certain, log_softmax(logits, dim=1)], dim=1)
            total = total + table.gather(1, label[:, None]).squeeze(1)
        return total

    def digest(self) -> str:
        """SHA-256 over the weights: 64 hex characters."""
        whole = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            whole.update(name.encode() + b"\0" + value.cpu().numpy().tobytes())
        return whole.hexdigest()

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file(self.state_dict(), partial, metadata={"picture_px": str(self.picture_px)})
        partial.replace(path)

    @staticmethod
    def load(path: Path) -> NoisyClassifier:
        with safe_open(path, framework="pt") as file:
            picture_px = int(file.metadata()["picture_px"])
        weights = load_file(path)
        classifier = NoisyClassifier(picture_px, weights["alphas_cumprod"])
        classifier.load_state_dict(weights)
        return classifier.eval().requires_grad_(False)


def train_classifier(
    views: TracedViews, config: TrainingConfig, shading: ShadingConfig, num_steps: int
) -> NoisyClassifier:
    """A classifier of the training pictures, also mirrored, under the toybox noise, every timestep alike.

    `config` sets picture_px, batch_size and seed. Deterministic; held-out pairs are never in a batch.
    """
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        classifier = NoisyClassifier(config.picture_px, build_scheduler().alphas_cumprod)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=num_steps)

    for step in range(num_steps):
        pictures, captions = training_batch(views, config, shading, step)
        mirrored = torch.rand(len(pictures), generator=generator) < 0.5
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
        labels = labels_of(captions)

        # every timestep alike: guidance asks the classifier at all of them
        timesteps = torch.randint(len(classifier.alphas_cumprod), (len(pictures),), generator=generator)
        noise = torch.randn(pictures.shape, generator=generator)
        noisy = add_noise(pictures, noise, classifier.alphas_cumprod[timesteps])
        loss = -classifier.log_probability(noisy, timesteps, labels).sum() / (labels > 0).sum().clamp(min=1)

        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return classifier.eval().requires_grad_(False)


def cached_classifier(folder: Path, recipe: Recipe) -> NoisyClassifier:
    """The classifier in `folder`; the first call traces views, trains it and leaves it there.

    Its `accuracy` is written beside it in `classifier_accuracy.json`.
    """
    path = folder / "classifier.safetensors"
    if not path.exists():
        config = TrainingConfig(batch_size=BATCH_SIZE, views_per_kind=VIEWS_PER_KIND)
        views = trace_views(config, recipe.cameras, recipe.wording, folder)
        classifier = train_classifier(views, config, recipe.shading, NUM_STEPS)
        fresh = replace(config, batch_size=ACCURACY_PICTURES, seed=ACCURACY_SEED)
        by_share = accuracy(classifier, views, fresh, recipe.shading)
        (folder / "classifier_accuracy.json").write_text(json.dumps(by_share, indent=2) + "\n")
        classifier.save(path)
    return NoisyClassifier.load(path)


@torch.no_grad()
def accuracy(
    classifier: NoisyClassifier, views: TracedViews, config: TrainingConfig, shading: ShadingConfig
) -> dict[float, tuple[float, float]]:
    """Shares of one batch with the right kind and with the right colour, by fraction of the schedule.

    A `config` with a seed of its own gives new pictures; the views of `views` may be those of the
    training. Chance is 1 / 18 and 1 / 10.
    """
    pictures, captions = training_batch(views, config, shading, 0)
    labels = labels_of(captions)
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(config.seed))

    by_fraction = {}
    for fraction in SCHEDULE_FRACTIONS:
        timesteps = torch.full((len(pictures),), round(fraction * (len(classifier.alphas_cumprod) - 1)))
        noisy = add_noise(pictures, noise, classifier.alphas_cumprod[timesteps])
        kind, color = (
            float((logits.argmax(dim=1) + 1 == label)[label > 0].float().mean())
            for logits, label in zip(classifier(noisy, timesteps), labels.unbind(dim=1), strict=True)
        )
        by_fraction[fraction] = (kind, color)
    return by_fraction


class ClassifierGuidedPrior:
    """A `ScorePrior` guided to kind and colour by a classifier instead of by its text.

    Of a text, the inner prior sees the background only; one more token carries the labels. So
    uncond + s (text - uncond) is classifier guidance of scale s, and nothing else has to change.
    Views are not part of it: the classifier knows no sides.
    """

    def __init__(self, prior: ScorePrior, classifier: NoisyClassifier) -> None:
        require(
            classifier.picture_px == prior.picture_px,
            "classifier.picture_px",
            classifier.picture_px,
            f"must be that of the prior, {prior.picture_px}",
        )
        self._classifier = classifier.to(prior.device)
        require(
            self._classifier.alphas_cumprod.shape == prior.alphas_cumprod.shape
            and torch.allclose(self._classifier.alphas_cumprod, prior.alphas_cumprod, atol=1e-4),
            "classifier.alphas_cumprod",
            tuple(classifier.alphas_cumprod.shape),
            "must be the noise schedule of the prior: train the classifier under it",
        )

        # an identity of its own, so that no field is mistaken for one of the plain prior
        self._prior = prior
        inner = prior.identity
        digest = hashlib.sha256(f"{inner.digest}/{classifier.digest()}".encode()).hexdigest()
        self.identity = PriorIdentity(
            f"{inner.prior_id}+classifier", inner.revision, digest, inner.license, inner.research_only
        )
        self.picture_px, self.device, self.alphas_cumprod = prior.picture_px, prior.device, prior.alphas_cumprod

    def encode_prompts(self, texts: Sequence[str]) -> Float[Tensor, "B L D"]:
        """Embeddings of the backgrounds that `texts` end with, and a last token that starts with the labels."""
        backgrounds = [match[0] if (match := re.search(r"\w+ background$", text)) else "" for text in texts]
        embeds = self._prior.encode_prompts(backgrounds)
        token = torch.zeros_like(embeds[:, :1])
        token[:, 0, :2] = labels_of(texts).to(embeds)
        return torch.cat([embeds, token], dim=1)

    def encode_pictures(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        return self._prior.encode_pictures(pictures)

    def forget_shapes(self) -> None:
        self._prior.forget_shapes()

    @torch.no_grad()
    def predict_noise(
        self, noisy: Float[Tensor, "B C h w"], timesteps: Int[Tensor, " B"], embeds: Float[Tensor, "B L D"]
    ) -> Float[Tensor, "B C h w"]:
        noise = self._prior.predict_noise(noisy, timesteps, embeds[:, :-1]).clone()
        labels = embeds[:, -1, :2].round().long()
        named = (labels > 0).any(dim=1)
        signal = self.alphas_cumprod[timesteps[named]].view(-1, 1, 1, 1)
        noise[named] -= (1.0 - signal).sqrt() * self._gradient(noisy[named], timesteps[named], labels[named])
        return noise

    def _gradient(self, noisy: Float[Tensor, "B C h w"], timesteps: Int[Tensor, " B"], labels: Labels) -> Tensor:
        with torch.enable_grad():
            leaf = noisy.detach().requires_grad_()
            # Rows do not touch one another, so the gradient of the sum is that of each row.
            total = self._classifier.log_probability(leaf, timesteps, labels).sum()
            return torch.autograd.grad(total, leaf)[0]
