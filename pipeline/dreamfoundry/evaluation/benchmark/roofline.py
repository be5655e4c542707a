"""The least time of a step: the work that no code can leave out, at the pace of the device.

    roofline = measured_roofline(prior, recipe, "cuda")
    roofline.step_s(num_slots=8, computes_twice=False)     # predicted; `preflight` prints it beside the measured step

Counted are the frozen prior's products of matrices, convolutions and attention, and the bytes of the parameters that
Adam moves. What the field and the renderer do comes on top, so a measured step is longer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dreamfoundry.diffusion.loading import usual_dtype
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.evaluation.benchmark.ceilings import copy_bytes_per_s, matmul_flop_per_s
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.settings.recipe import Recipe

SUSTAINED_SHARE = 0.63
"""Of the rate of large products, which a UNet and a VAE encoder in half precision are taken to reach: 500 of 790
TFLOP/s on an H100. An estimate until a GPU has been measured."""

TEXTS = 2
"""Rows of a prediction for one picture: prompt and empty text. Perp-Neg and inversion make more of them."""

ADAM_BYTES = 9 * 4
"""Moved for each parameter: it and both moments read and written, its gradient cleared, added to, and read."""


@dataclass(frozen=True)
class Ceilings:
    """The pace of a device: operations per second of large products, bytes read and written per second."""

    flop_per_s: float
    bytes_per_s: float


H100 = Ceilings(790e12, 3.0e12)
"""An H100 SXM in float16, as others have measured it; not by us."""


@dataclass(frozen=True)
class PriorFlop:
    """Operations of a prior for one picture: its predictions, the way to the latents, and the way back."""

    predict_flop: float
    encode_flop: float
    back_flop: float

    def picture_flop(self, *, computes_twice: bool) -> float:
        """All of it; the way to the latents twice where its activations are not kept."""
        return self.predict_flop + (2 if computes_twice else 1) * self.encode_flop + self.back_flop


@dataclass(frozen=True)
class Roofline:
    """Work and pace of a recipe on a device."""

    ceilings: Ceilings
    flop: PriorFlop
    views_per_step: int
    slot_bytes: int

    def prior_s(self, num_slots: int, *, computes_twice: bool) -> float:
        """Least seconds of the prior in a step of so many slots."""
        flop = num_slots * self.views_per_step * self.flop.picture_flop(computes_twice=computes_twice)
        return flop / (SUSTAINED_SHARE * self.ceilings.flop_per_s)

    def step_s(self, num_slots: int, *, computes_twice: bool) -> float:
        """Least seconds of a whole step."""
        adam_s = num_slots * self.slot_bytes / self.ceilings.bytes_per_s
        return self.prior_s(num_slots, computes_twice=computes_twice) + adam_s


def measured_roofline(prior: ScorePrior, recipe: Recipe, device: str) -> Roofline:
    """The roofline on a device that is measured now: a second on a GPU, a few on a CPU."""
    is_cuda = torch.device(device).type == "cuda"
    flop_per_s = matmul_flop_per_s(device, usual_dtype(device), 8192 if is_cuda else 1024)
    ceilings = Ceilings(flop_per_s, copy_bytes_per_s(device, 2**32 if is_cuda else 2**26))
    return roofline_on(ceilings, count_prior_flop(prior, prior.encode_prompts(["a red ball"])), recipe)


def roofline_on(ceilings: Ceilings, flop: PriorFlop, recipe: Recipe) -> Roofline:
    """The roofline on a device of known pace."""
    one = RadianceFields(recipe.field, 1, device="meta")
    num_parameters = sum(tensor.numel() for tensor in one.parameters().values())
    return Roofline(ceilings, flop, recipe.optimize.views_per_step, ADAM_BYTES * num_parameters)


def count_prior_flop(prior: ScorePrior, embeds: Tensor) -> PriorFlop:
    """Count the operations of a prior for one picture; nothing is computed if it lies on the meta device.

    `embeds` are those of one text, [1, L, D].
    """
    picture = torch.rand(1, 3, prior.picture_px, prior.picture_px, device=prior.device, requires_grad=True)
    timesteps = torch.full((TEXTS,), len(prior.alphas_cumprod) // 2, device=prior.device)
    with FlopCounterMode(display=False) as encode:
        latents = prior.encode_pictures(picture)
    with FlopCounterMode(display=False) as back:
        torch.autograd.grad(latents.sum(), picture)
    with FlopCounterMode(display=False) as predict, torch.no_grad():
        noisy = latents.detach().expand(TEXTS, -1, -1, -1)
        prior.predict_noise(noisy, timesteps, embeds.expand(TEXTS, -1, -1))
    return PriorFlop(*(float(counter.get_total_flops()) for counter in (predict, encode, back)))
