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

from dreamfoundry.config import BACKGROUND_LEVELS, Recipe
from dreamfoundry.diffusion.guidance import draw_noise, draw_timesteps
from dreamfoundry.diffusion.prompts import PromptEmbeds, view_index
from dreamfoundry.nerf.cameras import Cameras, rays, sample_cameras
from dreamfoundry.nerf.shading import ALBEDO, TEXTURELESS, draw_shading, sample_light_directions


@dataclass(frozen=True)
class SlotChance:
    """What a slot brings to a draw: its embeddings, its generator, its progress in [0, 1]."""

    embeds: PromptEmbeds
    generator: torch.Generator
    progress: float


@dataclass(frozen=True)
class StepDraws:
    """What one step looks at and asks the prior, for all slots."""

    origins: Float[Tensor, "K R 3"]
    directions: Float[Tensor, "K R 3"]
    jitter: Float[Tensor, "K R 1"]
    light_directions: Float[Tensor, "B 3"]
    backgrounds: Float[Tensor, "B 3"]
    is_lit: Bool[Tensor, " K"]
    is_textureless: Bool[Tensor, " K"]
    any_lit: bool
    text_embeds: Float[Tensor, "B L D"]
    uncond_embeds: Float[Tensor, "B L D"]
    timesteps: Int[Tensor, " B"]
    noise: Float[Tensor, "B C h w"]


def draw_step(
    recipe: Recipe,
    slots: Sequence[SlotChance],
    num_timesteps: int,
    noise_shape: tuple[int, int, int],
    device: str,
) -> StepDraws:
    """Draw for every slot on the host, then move the whole step to `device` at once."""
    views = recipe.optimize.views_per_step
    draws = [_draw_slot(recipe, slot) for slot in slots]
    generators = [slot.generator for slot in slots]
    timesteps = draw_timesteps(generators, [slot.progress for slot in slots], views, recipe.guidance, num_timesteps)
    shadings = torch.tensor([draw.shading for draw in draws])
    origins, directions = (torch.stack(grids) for grids in zip(*(draw.rays for draw in draws), strict=True))
    return StepDraws(
        origins=origins.to(device),
        directions=directions.to(device),
        jitter=torch.stack([draw.jitter for draw in draws]).to(device),
        light_directions=torch.cat([draw.light_directions for draw in draws]).to(device),
        backgrounds=torch.cat([draw.backgrounds for draw in draws]).to(device),
        is_lit=(shadings != ALBEDO).to(device),
        is_textureless=(shadings == TEXTURELESS).to(device),
        any_lit=any(draw.shading != ALBEDO for draw in draws),
        text_embeds=torch.cat([draw.text_embeds for draw in draws]).to(device),
        uncond_embeds=torch.cat([draw.uncond_embeds for draw in draws]).to(device),
        timesteps=timesteps.to(device),
        noise=draw_noise(generators, views, noise_shape).to(device),
    )


@dataclass(frozen=True)
class _SlotDraw:
    rays: tuple[Float[Tensor, "R 3"], Float[Tensor, "R 3"]]
    jitter: Float[Tensor, "R 1"]
    light_directions: Float[Tensor, "V 3"]
    backgrounds: Float[Tensor, "V 3"]
    shading: int
    text_embeds: Float[Tensor, "V L D"]
    uncond_embeds: Float[Tensor, "V L D"]


def _draw_slot(recipe: Recipe, slot: SlotChance) -> _SlotDraw:
    generator, views, image_px = slot.generator, recipe.optimize.views_per_step, recipe.render.image_px
    cameras: Cameras = sample_cameras(recipe.cameras, views, generator)
    shading = draw_shading(recipe.shading, slot.progress, generator)
    which, backgrounds = _draw_backgrounds(recipe, views, generator)
    view = view_index(cameras.azimuth_deg, cameras.elevation_deg, recipe.wording)
    origins, directions = rays(cameras, image_px)
    return _SlotDraw(
        rays=(origins.reshape(-1, 3), directions.reshape(-1, 3)),
        jitter=torch.rand(views * image_px * image_px, 1, generator=generator),
        light_directions=sample_light_directions(cameras.positions, recipe.shading, generator),
        backgrounds=backgrounds,
        shading=shading,
        text_embeds=slot.embeds.text[int(shading == TEXTURELESS), view, which],
        uncond_embeds=slot.embeds.unconditional[which],
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
