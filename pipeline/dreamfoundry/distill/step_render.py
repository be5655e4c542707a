"""Render one step: shade every slot's rays and composite them over its backgrounds.

Dimension key:  K slots · V views per slot · B = K V views, slot-major · H pixels per side · R = V H H rays
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.distill.step_inputs import RenderBatch
from dreamfoundry.nerf import regularizers
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.render import Rendering, over, render
from dreamfoundry.nerf.shading import lambertian, light_directions
from dreamfoundry.settings.distillation import LossConfig
from dreamfoundry.settings.recipe import Recipe


def render_batch(fields: RadianceFields, batch: RenderBatch, recipe: Recipe) -> Rendering:
    """Render the slots of a batch, with normals only where shading or a loss needs them."""
    weighs_normals = any(ramp.start or ramp.end for ramp in (recipe.losses.orientation, recipe.losses.smoothness))
    with_normals = batch.any_lit or weighs_normals
    return render(fields, batch.origins, batch.directions, batch.jitter, batch.render, with_normals=with_normals)


def pictures(batch: RenderBatch, rendering: Rendering, recipe: Recipe) -> Float[Tensor, "B 3 H H"]:
    """Each slot's rendering in the shading it drew, over its backgrounds, in [0, 1]."""
    num_slots, num_rays = rendering.opacity.shape
    per_view = num_rays // recipe.optimize.views_per_step
    background = batch.backgrounds.repeat_interleave(per_view, dim=0).reshape(num_slots, num_rays, 3)
    surface = rendering.albedo
    if rendering.normals is not None:
        white = rendering.opacity[..., None].expand_as(surface)
        surface = torch.where(batch.is_textureless[:, None, None], white, surface)
        lights = batch.lights.repeat_interleave(per_view, dim=0).reshape(num_slots, num_rays, 3)
        points = batch.origins + rendering.depth[..., None] * batch.directions
        towards_light = light_directions(lights, points, recipe.shading.light)
        brightness = lambertian(rendering.normals, towards_light, recipe.shading.ambient_ratio)
        surface = surface * torch.where(batch.is_lit[:, None, None], brightness, 1.0)
    image_px = batch.render.image_px
    return over(surface, rendering.opacity, background).reshape(-1, image_px, image_px, 3).permute(0, 3, 1, 2)


def regularization(
    batch: RenderBatch, rendering: Rendering, losses: LossConfig, progress: Sequence[float]
) -> Float[Tensor, " K"]:
    """The weighted sum of regularisers, one number per slot; each slot brings its progress in [0, 1]."""
    opacity = rendering.opacity

    def weight(name: str) -> Tensor:
        return torch.tensor([getattr(losses, name).at(share) for share in progress], device=opacity.device)

    total = (
        weight("opacity") * regularizers.opacity_penalty(opacity)
        + weight("sparsity") * regularizers.sparsity(opacity)
        + weight("entropy") * regularizers.binary_entropy(opacity)
    )
    if rendering.normals is not None:
        normals = rendering.normals
        total = total + weight("orientation") * regularizers.orientation(normals, batch.directions, opacity)
        smoothness = regularizers.normal_smoothness(normals, opacity, batch.render.image_px)
        total = total + weight("smoothness") * smoothness
    return total
