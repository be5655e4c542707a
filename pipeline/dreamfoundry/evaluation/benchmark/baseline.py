"""One prompt on its own, in the shape of the research codes: what the main loop is measured against.

threestudio and stable-dreamfusion optimise one prompt per process: eager, one optimizer over one
field, a number copied to the host in every step for the log, and 512 samples on every ray. This
loop does the same with our draws, prior and losses, so that speed is all that differs: with the
field of the product and the samples of the recipe it is the obvious twin of a `SlotBatch` with one
slot. In its favour: it shades once per ray as we do, where the research codes take a normal of every
sample, and on a CPU it leaves out rays that miss the bounding sphere, as we do.

Dimension key:  K slots (one) · M points · C features
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample
from torch.nn.utils import clip_grad_norm_

from dreamfoundry.diffusion.guidance import distill, distillation_gradient
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.prompts import encode, gather_embeds
from dreamfoundry.distill.lr_schedule import lr_multiplier, progress_at
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.distill.step.inputs import SlotRates, draw_slot, noise_shape_of, step_inputs
from dreamfoundry.distill.step.one_copy import copied_at_once
from dreamfoundry.distill.step.render import pictures, regularization, render_batch
from dreamfoundry.identity import seed_for
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.heads import layers
from dreamfoundry.settings.recipe import Recipe

Decode = Callable[[Float[Tensor, "B C h w"]], object]
"""From latents to pictures."""

SAMPLES_PER_RAY = 512
"""threestudio's default (`num_samples_per_ray`)."""


class GridSampleFields(RadianceFields):
    """The dense levels read by torch's `grid_sample`, and heads layer by layer, as code does that has nothing
    of its own for either."""

    compute_heads = staticmethod(layers)

    def encode(self, points: Float[Tensor, "K M 3"]) -> Float[Tensor, "K M C"]:
        """The same features as the parent's inside of the cube; outside, those of its border."""
        table = self.parameters()["table"]
        # grid_sample calls the last axis of a volume x; ours is z.
        positions = (points.detach() / self.config.bound).flip(-1)[:, :, None, None]
        features, start = [], 0
        for side in self.config.level_resolutions:
            level = table[:, start : start + side**3].unflatten(1, (side, side, side)).movedim(-1, 1)
            found = grid_sample(level, positions, mode="bilinear", padding_mode="border", align_corners=True)
            features.append(found[..., 0, 0].transpose(1, 2))
            start += side**3
        return torch.cat(features, dim=-1)


def baseline_recipe(recipe: Recipe) -> Recipe:
    """`recipe` as a research code would run it: SAMPLES_PER_RAY in all stages, evenly spread over each ray."""
    later = tuple(dataclasses.replace(stage, samples_per_ray=SAMPLES_PER_RAY) for stage in recipe.render.later)
    render = dataclasses.replace(recipe.render, samples_per_ray=SAMPLES_PER_RAY, later=later)
    field = dataclasses.replace(recipe.field, occupancy_resolution=0)
    return dataclasses.replace(recipe, render=render, field=field)


class OnePrompt:
    """Distils one assignment into `fields` (K = 1), step by step; `step_number` may be set.

    `decode` gets the latents after every call of the prior: threestudio decodes
    its denoised latents in every step and looks at them in none. `log` has a line for each step.
    """

    def __init__(
        self,
        prior: ScorePrior,
        recipe: Recipe,
        assignment: Assignment,
        fields: RadianceFields,
        device: str = "cpu",
        decode: Decode | None = None,
    ) -> None:
        self.prior, self.recipe, self.fields, self.device = prior, recipe, fields, torch.device(device)
        self.step_number = 0
        self.log: list[dict[str, float]] = []
        self._decode = decode
        self._embeds = encode(prior, assignment.prompt, recipe.wording).rows
        self._generator, first = (
            torch.Generator().manual_seed(seed_for(assignment.field_key, 0, purpose)) for purpose in ("steps", "field")
        )
        fields.init_slot(0, first)
        optimize = recipe.optimize
        self.optimizer = torch.optim.Adam(
            [
                {"params": [tensor], "rate": optimize.table_lr if name == "table" else optimize.head_lr}
                for name, tensor in fields.parameters().items()
            ],
            betas=optimize.betas,
            eps=optimize.eps,
        )
        self._noise_shape = noise_shape_of(prior, recipe, device)

    def step(self) -> None:
        """One step of optimisation, with a line in the log."""
        recipe, optimize = self.recipe, self.recipe.optimize
        progress = progress_at(optimize, self.step_number)
        draw = draw_slot(recipe, self._generator, progress, self._noise_shape)
        rates = SlotRates(torch.ones(1), torch.tensor([True]))  # the optimizer of torch has its own
        on_host = step_inputs(recipe, [draw], rates, len(self._embeds), self.device)
        inputs = copied_at_once(on_host, self.device)
        (batch,) = inputs.batches

        self.fields.set_level_shares(inputs.level_shares)
        rendering = render_batch(self.fields, batch)
        latents = self.prior.encode_pictures(pictures(batch, rendering, recipe))
        noise_sample = inputs.noise.told(gather_embeds(self._embeds, inputs.views))
        gradient = distillation_gradient(self.prior, latents.detach(), noise_sample, recipe.guidance)

        if self._decode is not None:  # as research codes do for a picture in their log
            with torch.no_grad():
                self._decode(latents)
        regular = regularization(batch, rendering).sum()
        loss = distill(latents, gradient) / gradient.numel() + regular

        self.optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm_(self.fields.parameters().values(), optimize.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * lr_multiplier(optimize, self.step_number)
        self.optimizer.step()

        # numbers on the host: each waits for the device, as a log of every step does
        self.log.append(
            {
                "loss": loss.item(),
                "regularization": regular.item(),
                "gradient_norm": norm.item(),
                "mean_opacity": rendering.opacity.mean().item(),
            }
        )
        self.step_number += 1
