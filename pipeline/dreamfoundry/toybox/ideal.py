"""A prior made of the toys' pictures: the exact denoiser of a finite set, without a network.

For a caption the training program can draw a set of pictures x_i. If each stands for a small Gaussian
cloud of width w around it, the best possible denoiser (posterior mean; Karras et al. 2022, appendix
B.3, with w added to the noise) has a closed form:

    weight_i ~ exp(-|noisy - sqrt(abar) x_i|^2 / (2 spread)),   spread = abar w^2 + 1 - abar
    mean = sum_i weight_i x_i
    clean = mean + sqrt(abar) w^2 / spread (noisy - sqrt(abar) mean)

It hears every word and knows its pictures by heart, but nothing in between: it is no upper bound for
a network that has learnt to generalise (docs/LOG.md). For experiments and tests, never for a build.

Dimension key:  B rows · N pictures of a caption · H pixels per side · P = 3 H H
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.config import BACKGROUND_LEVELS, ShadingConfig
from dreamfoundry.diffusion.guidance import noise_part
from dreamfoundry.errors import PromptFailure
from dreamfoundry.records import VIEWS, PriorIdentity
from dreamfoundry.toybox.captions import COLORS, color_of, kind_of, words_of
from dreamfoundry.toybox.toys import role_palette
from dreamfoundry.toybox.training import ViewLibrary, build_scheduler, draw_ambient_ratio, draw_pictures


class IdealPrior:
    """A `ScorePrior` made of pictures; its embeddings are indices into the captions it was asked for."""

    def __init__(
        self, library: ViewLibrary, shading: ShadingConfig, pictures_per_caption: int = 240, width: float = 0.1
    ) -> None:
        self.device = torch.device("cpu")
        self.picture_px = library.buffers.roles.shape[-1] // 2
        self.alphas_cumprod = build_scheduler().alphas_cumprod
        self.identity = PriorIdentity("dreamfoundry/toybox-ideal", "", "none: made of the toys", "Apache-2.0", True)
        self._library, self._shading = library, shading
        self._pictures_per_caption, self._width = pictures_per_caption, width
        self._index: dict[str, int] = {}
        self._pictures: list[Float[Tensor, "N P"]] = []

    def encode_prompts(self, texts: Sequence[str]) -> Float[Tensor, "B 1 1"]:
        """The index of each caption; PromptFailure if it names no background or fits no picture."""
        for text in texts:
            if text not in self._index:
                self._pictures.append(self._draw(text))
                self._index[text] = len(self._index)
        return torch.tensor([float(self._index[text]) for text in texts])[:, None, None]

    def to_noise_space(self, pictures: Float[Tensor, "B 3 H H"]) -> Float[Tensor, "B 3 H H"]:
        return pictures * 2.0 - 1.0

    @torch.no_grad()
    def predict_noise(
        self, noisy: Float[Tensor, "B 3 H H"], timesteps: Int[Tensor, " B"], embeds: Float[Tensor, "B 1 1"]
    ) -> Float[Tensor, "B 3 H H"]:
        found = []
        signals = self.alphas_cumprod[timesteps]
        for row, abar, caption in zip(noisy.flatten(1), signals, embeds[:, 0, 0], strict=True):
            pictures, signal = self._pictures[int(caption)], abar.sqrt()
            spread = abar * self._width**2 + 1.0 - abar
            weights = torch.softmax(-(row - signal * pictures).square().sum(dim=1) / (2.0 * spread), dim=0)
            mean = weights @ pictures
            found.append(mean + signal * self._width**2 / spread * (row - signal * mean))
        return noise_part(noisy, torch.stack(found).reshape(noisy.shape), signals)

    def _draw(self, text: str) -> Float[Tensor, "N P"]:
        """Pictures that fit `text`; what it does not name (kind, color, view) is drawn at random."""
        words, rng, library = words_of(text), random.Random(text), self._library
        background = next((word for word in words if word in BACKGROUND_LEVELS), None)
        view = next((word for word in words if word in VIEWS), None)
        kind, color = kind_of(text), color_of(text)
        fitting = [
            index
            for index in range(len(library.kinds))
            if kind in (None, library.kinds[index]) and view in (None, library.views[index])
        ]
        if background is None or not fitting:
            raise PromptFailure(f"{text!r}: the ideal prior needs a background and a kind and view that it has seen")
        num = self._pictures_per_caption
        palettes = [role_palette(color or rng.choice(list(COLORS))) for _ in range(num)]
        return draw_pictures(
            library,
            torch.tensor(rng.choices(fitting, k=num)),
            torch.stack(palettes),
            torch.tensor([draw_ambient_ratio(rng) for _ in range(num)]),
            torch.full((num,), BACKGROUND_LEVELS[background]),
            self._shading,
            torch.Generator().manual_seed(rng.getrandbits(63)),
        ).flatten(1)
