"""Every input of one step: cameras, light, shading, backgrounds, timesteps, noise, weights of losses and rates.

Each slot draws from its own generator and in the same order, so that its sequence depends neither
on its neighbours nor on what it decided before. Slots are drawn one by one (`draw_slot`), all on the
host, and put together (`step_inputs`).

Dimension key:  K slots · V views per slot · B = K V views · H pixels per side · R = V H H rays
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dreamfoundry.diffusion.guidance import NoiseDraws, draw_noise_sample
from dreamfoundry.diffusion.perp_neg import perp_neg_rows
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.prompts import ViewRows, nearest_view_rows
from dreamfoundry.nerf.cameras import Cameras, rays, sample_cameras
from dreamfoundry.nerf.field import level_shares
from dreamfoundry.nerf.shading import ALBEDO, TEXTURELESS, draw_shading, sample_lights
from dreamfoundry.settings.field import RenderConfig
from dreamfoundry.settings.prior import BACKGROUND_LEVELS
from dreamfoundry.settings.recipe import Recipe

LOSSES = ("opacity", "sparsity", "entropy", "orientation", "smoothness")
"""The order of the weights of a slot's losses."""


@dataclass(frozen=True)
class NoiseShape:
    """The draws that a prior wants: timesteps below `num_timesteps`, and noise of the shape `latent` (C, h, w)."""

    num_timesteps: int
    latent: tuple[int, int, int]


@dataclass(frozen=True)
class SlotDraw:
    """The inputs of one slot to one step, on the host."""

    render: RenderConfig
    shading: int
    rays: tuple[Float[Tensor, "R 3"], Float[Tensor, "R 3"]]
    jitter: Float[Tensor, "R 1"]
    lights: Float[Tensor, "V 3"]
    backgrounds: Float[Tensor, "V 3"]
    views: ViewRows
    noise: NoiseDraws
    loss_weights: Float[Tensor, " losses"]
    level_shares: Float[Tensor, " levels"]


@dataclass(frozen=True)
class SlotRates:
    """Learning rates of the slots as factors of the configured ones, and which slots there are to be updated."""

    multipliers: Float[Tensor, " K"]
    occupied: Bool[Tensor, " K"]


@dataclass(frozen=True)
class RenderBatch:
    """Slots that are rendered in one call, in pictures of one size; `K` counts these slots.

    `with_normals`: shading or a loss needs them.
    """

    render: RenderConfig
    origins: Float[Tensor, "K R 3"]
    directions: Float[Tensor, "K R 3"]
    jitter: Float[Tensor, "K R 1"]
    lights: Float[Tensor, "B 3"]
    backgrounds: Float[Tensor, "B 3"]
    is_lit: Bool[Tensor, " K"]
    is_textureless: Bool[Tensor, " K"]
    with_normals: bool
    loss_weights: Float[Tensor, "K losses"]

    @property
    def num_slots(self) -> int:
        return len(self.origins)


@dataclass(frozen=True)
class StepInputs:
    """The inputs of one step. Batches, views and noise have the slots in `order`, which is None where it is their
    own; level shares and rates are in their own order.

    There is one batch in the ordinary case. Under a recipe with later render phases there is one for each phase
    that a slot is in; on a CPU one for each slot, since a slot's bits must not depend there on the phase that its
    neighbours have reached.
    """

    batches: tuple[RenderBatch, ...]
    order: Int[Tensor, " K"] | None
    views: ViewRows
    noise: NoiseDraws
    level_shares: Float[Tensor, "K levels"]
    rates: SlotRates


@torch.no_grad()
def noise_shape_of(prior: ScorePrior, recipe: Recipe, device: str) -> NoiseShape:
    """The shape of what the prior wants to be drawn; the same for pictures of every render phase."""
    picture = torch.zeros(1, 3, recipe.render.image_px, recipe.render.image_px, device=device)
    _, channels, height, width = prior.encode_pictures(picture).shape
    return NoiseShape(len(prior.alphas_cumprod), (channels, height, width))


def step_inputs(
    recipe: Recipe, draws: Sequence[SlotDraw], rates: SlotRates, table_rows: int, device: torch.device
) -> StepInputs:
    """The draws of all slots as one step for `device`, still on the host; each slot has a table of `table_rows`
    embeddings.
    """
    groups = [list(range(len(draws)))]
    if recipe.render.later:
        groups = [[slot] for slot in groups[0]] if device.type == "cpu" else _by_phase(draws)
    return _grouped(recipe, draws, groups, rates, table_rows)


def draw_slot(recipe: Recipe, generator: torch.Generator, progress: float, shape: NoiseShape) -> SlotDraw:
    """The inputs of a slot at `progress` in [0, 1] of its steps, drawn from its generator."""
    # the order of the draws is part of what a seed means: another order makes another field
    views, render = recipe.optimize.views_per_step, recipe.render.at(progress)
    cameras: Cameras = sample_cameras(recipe.cameras, views, generator)
    shading = draw_shading(recipe.shading, progress, generator)
    which, backgrounds = _draw_backgrounds(recipe, views, generator)
    jitter = torch.rand(views * render.image_px**2, 1, generator=generator)
    lights = sample_lights(cameras.positions, recipe.shading, generator)
    noise = draw_noise_sample(generator, progress, views, recipe.guidance, shape.num_timesteps, shape.latent)

    view_rows = perp_neg_rows if recipe.guidance.perp_neg else nearest_view_rows
    is_textureless = shading == TEXTURELESS
    origins, directions = rays(cameras, render.image_px)
    return SlotDraw(
        render=render,
        shading=shading,
        rays=(origins.reshape(-1, 3), directions.reshape(-1, 3)),
        jitter=jitter,
        lights=lights,
        backgrounds=backgrounds,
        views=view_rows(cameras.azimuth_deg, cameras.elevation_deg, is_textureless, which, recipe.wording),
        noise=noise,
        loss_weights=torch.tensor([getattr(recipe.losses, name).at(progress) for name in LOSSES]),
        level_shares=torch.tensor(level_shares(recipe.field, progress)),
    )


def _by_phase(draws: Sequence[SlotDraw]) -> list[list[int]]:
    """The slots of each picture size, smallest first."""
    phases: dict[tuple[int, int], list[int]] = {}
    for slot, draw in enumerate(draws):
        phases.setdefault((draw.render.image_px, draw.render.samples_per_ray), []).append(slot)
    return [phases[phase] for phase in sorted(phases)]


def _grouped(
    recipe: Recipe, draws: Sequence[SlotDraw], groups: Sequence[Sequence[int]], rates: SlotRates, table_rows: int
) -> StepInputs:
    """The draws in a batch for each group of slots."""
    weighs_normals = any(ramp.start or ramp.end for ramp in (recipe.losses.orientation, recipe.losses.smoothness))
    order = [slot for group in groups for slot in group]
    return StepInputs(
        batches=tuple(_joined([draws[slot] for slot in group], weighs_normals) for group in groups),
        order=None if order == sorted(order) else torch.tensor(order),
        views=ViewRows.joined([draws[slot].views.in_table(slot * table_rows) for slot in order]),
        noise=NoiseDraws.joined([draws[slot].noise for slot in order]),
        level_shares=torch.stack([draw.level_shares for draw in draws]),
        rates=rates,
    )


def _joined(draws: Sequence[SlotDraw], weighs_normals: bool) -> RenderBatch:
    shadings = torch.tensor([draw.shading for draw in draws])
    origins, directions = (torch.stack(grids) for grids in zip(*(draw.rays for draw in draws), strict=True))
    return RenderBatch(
        render=draws[0].render,
        origins=origins,
        directions=directions,
        jitter=torch.stack([draw.jitter for draw in draws]),
        lights=torch.cat([draw.lights for draw in draws]),
        backgrounds=torch.cat([draw.backgrounds for draw in draws]),
        is_lit=shadings != ALBEDO,
        is_textureless=shadings == TEXTURELESS,
        with_normals=weighs_normals or any(draw.shading != ALBEDO for draw in draws),
        loss_weights=torch.stack([draw.loss_weights for draw in draws]),
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
