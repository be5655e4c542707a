"""A prior in closed form: no weights, exact, and fast enough for a unit test.

It believes that every picture of a text is one mean picture plus white noise of a known
variance. Then the noise in a noisy picture has a closed form (the posterior mean of a Gaussian),

    predicted = sqrt(1 - abar) (noisy - sqrt(abar) mean) / (abar variance + 1 - abar)

By default the mean picture is a disc in a colour of the text on white, from whichever side: an
optimisation that follows it makes a ball of that colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from dreamfoundry.settings.prior_identity import PriorIdentity

NUM_TIMESTEPS = 1000
DISC_RADIUS = 0.6
"""Radius of the disc as a share of half the picture."""


class AnalyticPrior:
    """A pixel `ScorePrior`, with values in [-1, 1], whose embeddings are its means.

    `mean_pictures` (values in [0, 1], side `picture_px`) replaces the disc for those texts.
    `num_predictions` and `num_encodings` count its calls.
    """

    def __init__(
        self,
        picture_px: int = 16,
        *,
        variance: float = 0.05,
        mean_pictures: Mapping[str, Float[Tensor, "3 H W"]] | None = None,
        device: str = "cpu",
    ) -> None:
        self.picture_px = picture_px
        self.device = torch.device(device)
        # The linear schedule of DDPM (arXiv 2006.11239, section 4).
        betas = torch.linspace(1e-4, 0.02, NUM_TIMESTEPS, dtype=torch.float64)
        self.alphas_cumprod = (1.0 - betas).cumprod(0).float().to(self.device)
        self.num_predictions = 0
        self.num_encodings = 0
        self._variance = variance
        self._mean_pictures = dict(mean_pictures or {})
        self.identity = PriorIdentity("dreamfoundry/analytic", "1", self._digest(), "Apache-2.0")

    def encode_prompts(self, texts: Sequence[str]) -> Float[Tensor, "B 1 D"]:
        """The mean picture of each text, flattened: the embedding is all that the prior knows."""
        self.num_encodings += 1
        return torch.stack([self.mean_picture(text) for text in texts]).flatten(1)[:, None].to(self.device)

    def encode_pictures(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
        side = (self.picture_px, self.picture_px)
        if tuple(pictures.shape[-2:]) != side:
            pictures = interpolate(pictures, side, mode="bilinear", antialias=True, align_corners=False)
        return pictures * 2.0 - 1.0

    def predict_noise(
        self, noisy: Float[Tensor, "B 3 h w"], timesteps: Int[Tensor, " B"], embeds: Float[Tensor, "B 1 D"]
    ) -> Float[Tensor, "B 3 h w"]:
        self.num_predictions += 1
        mean = embeds.reshape(noisy.shape) * 2.0 - 1.0
        signal = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        spread = signal * self._variance + 1.0 - signal
        return (1.0 - signal).sqrt() * (noisy - signal.sqrt() * mean) / spread

    def forget_shapes(self) -> None:
        """Nothing is kept from call to call."""

    def mean_picture(self, text: str) -> Float[Tensor, "3 h w"]:
        """The average picture of `text`, in [0, 1]; that of the empty text is mid-grey.

        The colour comes from the words before the first comma, which all views of a prompt share.
        """
        if text in self._mean_pictures:
            return self._mean_pictures[text]
        shape = (3, self.picture_px, self.picture_px)
        if not text:
            return torch.full(shape, 0.5)
        subject = text.split(",")[0].strip().lower()
        color = torch.tensor(list(hashlib.sha256(subject.encode()).digest()[:3])) / 255.0
        centers = (torch.arange(self.picture_px) + 0.5) / self.picture_px * 2.0 - 1.0
        inside = (centers[:, None] ** 2 + centers[None, :] ** 2).sqrt() < DISC_RADIUS
        return torch.where(inside, color[:, None, None], torch.ones(shape))

    def _digest(self) -> str:
        content = hashlib.sha256(f"{self.picture_px}/{self._variance}/{DISC_RADIUS}".encode())
        for text, picture in sorted(self._mean_pictures.items()):
            content.update(text.encode() + b"\0" + picture.float().cpu().numpy().tobytes())
        return content.hexdigest()
