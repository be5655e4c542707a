"""`ScorePrior`: a frozen text-conditioned diffusion model, as an optimisation uses it.

Three calls guide a field: `encode_prompts`, `encode_pictures` and `predict_noise`. `DiffusersPrior` answers
them from any diffusers folder (`diffusers_prior`), `AnalyticPrior` in closed form (`analytic`). Views of all
assets are flattened into rows.

Dimension key:  B rows · C channels · H, W pixels · h, w of the latents · L tokens · D width
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.settings.prior_identity import PriorIdentity


@runtime_checkable
class ScorePrior(Protocol):
    """A frozen text-conditioned denoiser.

    *Latents* are what noise is added to: scaled VAE latents, or the pixels in [-1, 1] themselves where a
    prior has no VAE. Results are float32, except embeddings: these have the precision it computes in.
    A row of a result depends on the same row of the inputs only.
    """

    @property
    def identity(self) -> PriorIdentity: ...

    @property
    def picture_px(self) -> int:
        """Side of the square pictures that it was trained on."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def alphas_cumprod(self) -> Float[Tensor, " timesteps"]:
        """Share of signal (abar) left at each timestep, float32, on `device`."""
        ...

    def encode_prompts(self, texts: Sequence[str]) -> Float[Tensor, "B L D"]:
        """Embeddings of `texts`; PromptFailure if one is too long to be read to its end."""
        ...

    def encode_pictures(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Latents of display-referred sRGB pictures in [0, 1], differentiably."""
        ...

    def predict_noise(
        self, noisy: Float[Tensor, "B C h w"], timesteps: Int[Tensor, " B"], embeds: Float[Tensor, "B L D"]
    ) -> Float[Tensor, "B C h w"]:
        """The noise in `noisy` by the prior's estimate, differentiably in `noisy`.

        The weights are frozen, so there is a graph only where an input brings one along.
        """
        ...

    def forget_shapes(self) -> None:
        """Give back the memory of what is kept from call to call, such as recordings; answers stay what they are."""
