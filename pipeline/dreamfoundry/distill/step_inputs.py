"""Every random decision of one step: cameras, light, shading, backgrounds, timesteps, noise.

Each slot draws from its own generator and in the same order, so that its sequence depends neither
on its neighbours nor on what it decided before.

Dimension key:  K slots · V views per slot · B = K V views, slot-major · H pixels per side · R = V H H rays
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dreamfoundry.diffusion.guidance import NoiseSample, sample_noise
from dreamfoundry.diffusion.perp_neg import perp_neg_embeds
from dreamfoundry.diffusion.prompts import PromptEmbeds, ViewEmbeds, nearest_view_embeds
from dreamfoundry.nerf.cameras import Cameras, rays, sample_cameras
from dreamfoundry.nerf.shading import ALBEDO, TEXTURELESS, draw_shading, sample_lights
from dreamfoundry.settings.field import RenderConfig
from dreamfoundry.settings.prior import BACKGROUND_LEVELS
from dreamfoundry.settings.recipe import Recipe


@dataclass(frozen=True)
class SlotInputs:
    """Inputs of one slot to a step: its embeddings, its generator, its progress in [0, 1]."""

    embeds: PromptEmbeds
    generator: torch.Generator
    progress: float


@dataclass(frozen=True)
class RenderBatch:
    """Neighbouring slots that are rendered in one call, in pictures of one size; `K` counts these slots."""

    slots: slice
    render: RenderConfig
    origins: Float[Tensor, "K R 3"]
    directions: Float[Tensor, "K R 3"]
    jitter: Float[Tensor, "K R 1"]
    lights: Float[Tensor, "B 3"]
    backgrounds: Float[Tensor, "B 3"]
    is_lit: Bool[Tensor, " K"]
    is_textureless: Bool[Tensor, " K"]
    any_lit: bool


@dataclass(frozen=True)
class StepDraws:
    """Random inputs of one step, for all slots in their order.

    `batches` has one entry in the ordinary case, and one per slot under a recipe with later render
    phases: a slot's numbers must not depend on the phase that its neighbours have reached.
    """

    batches: tuple[RenderBatch, ...]
    noise_sample: NoiseSample


def draw_step(
    recipe: Recipe,
    slots: Sequence[SlotInputs],
    num_timesteps: int,
    noise_shape: tuple[int, int, int],
    device: str,
) -> StepDraws:
    """Draw for every slot on the host, then move the whole step to `device` at once."""
    draws = [_draw_slot(recipe, slot) for slot in slots]
    noise_sample = sample_noise(
        ViewEmbeds.joined([draw.embeds for draw in draws], device),
        [slot.generator for slot in slots],
        [slot.progress for slot in slots],
        recipe.guidance,
        num_timesteps,
        noise_shape,
        device,
    )
    together = 1 if recipe.render.later else len(draws)
    starts = range(0, len(draws), together)
    return StepDraws(tuple(_joined(draws, slice(start, start + together), device) for start in starts), noise_sample)


def _joined(all_draws: Sequence[_SlotDraw], slots: slice, device: str) -> RenderBatch:
    draws = all_draws[slots]
    shadings = torch.tensor([draw.shading for draw in draws])
    origins, directions = (torch.stack(grids) for grids in zip(*(draw.rays for draw in draws), strict=True))
    return RenderBatch(
        slots=slots,
        render=draws[0].render,
        origins=origins.to(device),
        directions=directions.to(device),
        jitter=torch.stack([draw.jitter for draw in draws]).to(device),
        lights=torch.cat([draw.lights for draw in draws]).to(device),
        backgrounds=torch.cat([draw.backgrounds for draw in draws]).to(device),
        is_lit=(shadings != ALBEDO).to(device),
        is_textureless=(shadings == TEXTURELESS).to(device),
        any_lit=any(draw.shading != ALBEDO for draw in draws),
    )


@dataclass(frozen=True)
class _SlotDraw:
    render: RenderConfig
    rays: tuple[Float[Tensor, "R 3"], Float[Tensor, "R 3"]]
    jitter: Float[Tensor, "R 1"]
    lights: Float[Tensor, "V 3"]
    backgrounds: Float[Tensor, "V 3"]
    shading: int
    embeds: ViewEmbeds


def _draw_slot(recipe: Recipe, slot: SlotInputs) -> _SlotDraw:
    # the order of the draws is part of what a seed means: another order makes another field
    generator, views, render = slot.generator, recipe.optimize.views_per_step, recipe.render.at(slot.progress)
    cameras: Cameras = sample_cameras(recipe.cameras, views, generator)
    shading = draw_shading(recipe.shading, slot.progress, generator)
    which, backgrounds = _draw_backgrounds(recipe, views, generator)

    view_embeds = perp_neg_embeds if recipe.guidance.perp_neg else nearest_view_embeds
    origins, directions = rays(cameras, render.image_px)

    return _SlotDraw(
        render=render,
        rays=(origins.reshape(-1, 3), directions.reshape(-1, 3)),
        jitter=torch.rand(views * render.image_px**2, 1, generator=generator),
        lights=sample_lights(cameras.positions, recipe.shading, generator),
        backgrounds=backgrounds,
        shading=shading,
        embeds=view_embeds(
            slot.embeds,
            cameras.azimuth_deg,
            cameras.elevation_deg,
            shading == TEXTURELESS,
            which,
            recipe.wording,
        ),
    )


def _draw_backgrounds(
    recipe: Recipe, views: int, generator: torch.Generator
) -> tuple[Int[Tensor, " V"], Float[Tensor, "V 3"]]:
    """Index into the named backgrounds (0 if none is named) and the color, per view."""
    names = recipe.wording.backgrounds
    if not names:
        return torch.zeros(views, dtype=torch.long), torch.rand(views, 3, generator=generator)
    which = torch.randint(len(names), (views,), generator=generator)
    levels = torch.tensor([BACKGROUND_LEVELS[name] for name in names])
    return which, levels[which][:, None].expand(views, 3)
