"""Render one step: shade every slot's rays and composite them over its backgrounds.

Dimension key:  K slots · V views per slot · B = K V views, slot-major · H pixels per side · R = V H H rays
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from dreamfoundry.distill.step.inputs import LOSSES, RenderBatch, StepInputs
from dreamfoundry.nerf import regularizers
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.render import Rendering, over, render
from dreamfoundry.nerf.shading import lambertian, light_directions
from dreamfoundry.settings.recipe import Recipe


@dataclass(frozen=True)
class RenderedStep:
    """The pictures of all views in [0, 1], and the sum of the regularisers of all slots."""

    pictures: Float[Tensor, "B 3 H H"]
    regularization: Float[Tensor, ""]


def render_step(fields: RadianceFields, inputs: StepInputs, recipe: Recipe, picture_px: int) -> RenderedStep:
    """Render every batch of a step. Pictures of several sizes are brought to the `picture_px` of the prior."""
    parts = fields.parts([batch.num_slots for batch in inputs.batches], inputs.order)
    renderings = [render_batch(part, batch) for part, batch in zip(parts, inputs.batches, strict=True)]
    views = list(zip(inputs.batches, renderings, strict=True))
    batched = _of_one_size([pictures(batch, rendering, recipe) for batch, rendering in views], picture_px)
    total = torch.stack([regularization(batch, rendering).sum() for batch, rendering in views]).sum()
    return RenderedStep(batched, total)


def render_batch(fields: RadianceFields, batch: RenderBatch) -> Rendering:
    """Render the slots of a batch."""
    rays = (batch.origins, batch.directions, batch.jitter)
    return render(fields, *rays, batch.render, with_normals=batch.with_normals)


def pictures(batch: RenderBatch, rendering: Rendering, recipe: Recipe) -> Float[Tensor, "B 3 H H"]:
    """Each slot's rendering in the shading it drew, over its backgrounds, in [0, 1]."""
    num_slots, num_rays = rendering.opacity.shape
    per_view = num_rays // recipe.optimize.views_per_step
    background = _per_ray(batch.backgrounds, per_view, num_slots)
    surface = rendering.albedo
    if rendering.normals is not None:
        white = rendering.opacity[..., None].expand_as(surface)
        surface = torch.where(batch.is_textureless[:, None, None], white, surface)
        lights = _per_ray(batch.lights, per_view, num_slots)
        points = batch.origins + rendering.depth[..., None] * batch.directions
        towards_light = light_directions(lights, points, recipe.shading.light)
        brightness = lambertian(rendering.normals, towards_light, recipe.shading.ambient_ratio)
        surface = surface * torch.where(batch.is_lit[:, None, None], brightness, 1.0)
    image_px = batch.render.image_px
    return over(surface, rendering.opacity, background).reshape(-1, image_px, image_px, 3).permute(0, 3, 1, 2)


def regularization(batch: RenderBatch, rendering: Rendering) -> Float[Tensor, " K"]:
    """The weighted sum of regularisers, one number per slot, by the weights of the batch."""
    opacity = rendering.opacity
    weights = dict(zip(LOSSES, batch.loss_weights.unbind(dim=1), strict=True))
    total = (
        weights["opacity"] * regularizers.opacity_penalty(opacity)
        + weights["sparsity"] * regularizers.sparsity(opacity)
        + weights["entropy"] * regularizers.binary_entropy(opacity)
    )
    if rendering.normals is not None:
        normals = rendering.normals
        total = total + weights["orientation"] * regularizers.orientation(normals, batch.directions, opacity)
        smoothness = regularizers.normal_smoothness(normals, opacity, batch.render.image_px)
        total = total + weights["smoothness"] * smoothness
    return total


def _per_ray(values: Float[Tensor, "B 3"], per_view: int, num_slots: int) -> Float[Tensor, "K R 3"]:
    return values[:, None].expand(-1, per_view, -1).reshape(num_slots, -1, 3)


def _of_one_size(parts: Sequence[Float[Tensor, "_ 3 _ _"]], picture_px: int) -> Float[Tensor, "B 3 H H"]:
    """One batch for one call of the prior, which would resize them alike."""
    if len({part.shape[-1] for part in parts}) > 1:
        size = (picture_px, picture_px)
        parts = [interpolate(part, size, mode="bilinear", antialias=True, align_corners=False) for part in parts]
    return torch.cat(list(parts)) if len(parts) > 1 else parts[0]
