"""Mid-run evaluation of a field by its own prior: a few scores from a few pictures.

The prior takes noise out of pictures of the field under the prompt, under nothing and under the
wrong side: the better the words explain the picture, the smaller the error
(the diffusion classifier of Li et al., arXiv 2303.16203). No true surface, no other model.

Dimension key:  V views around · T timesteps · H pixels per side · L tokens · D width
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.diffusion.networks.replay import without_recording
from dreamfoundry.diffusion.noising import add_noise
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.prompts import PromptEmbeds, view_index, view_of
from dreamfoundry.errors import (
    EmptyField,
    FlatField,
    FullField,
    OffPrompt,
    OptimizationDiverged,
    PromptFailure,
    SeveralFaces,
)
from dreamfoundry.nerf.cameras import Cameras, rays
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.render import over, render
from dreamfoundry.nerf.shading import lambertian
from dreamfoundry.nerf.snapshot import reference_cameras
from dreamfoundry.settings.prior import BACKGROUND_LEVELS
from dreamfoundry.settings.recipe import Recipe
from dreamfoundry.settings.selection import GateConfig

FRONT_MARGIN = 0.05
"""A side passes for the front only if the front's words make the error smaller by this share."""

FLATNESS_GRID = 32
"""Vertices per side of the grid on which the shape of the volume is measured."""


@torch.no_grad()
@without_recording()  # a few predictions per candidate would keep the memory of a graph for the whole run
def probe_field(
    prior: ScorePrior, fields: RadianceFields, slot: int, embeds: PromptEmbeds, recipe: Recipe, seed: int
) -> dict[str, float]:
    """Scores of one slot; `seed` fixes the noise, so that all candidates are scored under the same one.

    mean_opacity: of the views, in [0, 1]. flatness_ratio: see `flatness_ratio`.
    prompt_gain: (n - p) / (n + p) with the denoising errors p under the prompt and n under the
    unconditional wording; in [-1, 1], below 0 when the prompt makes it worse.
    several_faces_share: share of the views from behind and the sides, in [0, 1], that the prior
    takes for the front.
    """
    one = fields.single(slot)
    views = reference_cameras(recipe.cameras, recipe.probes.num_views)
    pictures, opacity = _pictures(one, views, recipe)

    wording = view_index(views.azimuth_deg, views.elevation_deg, recipe.wording)
    front = wording - wording % len(recipe.wording.azimuth_words)  # from the same height
    device = embeds.text.device
    embeds_of = {
        "prompt": embeds.text[0, wording.to(device), 0],
        "front": embeds.text[0, front.to(device), 0],
        "nothing": embeds.unconditional[:1].expand(len(wording), -1, -1),
    }
    errors = _denoising_errors(prior, prior.encode_pictures(pictures), embeds_of, recipe.probes.timesteps, seed)

    nothing, prompt = errors["nothing"].sum(), errors["prompt"].sum()
    elsewhere = torch.tensor([view_of(int(index), recipe.wording) in ("side", "back") for index in wording])
    passes_for_front = errors["front"] < (1.0 - FRONT_MARGIN) * errors["prompt"]

    return {
        "mean_opacity": float(opacity.mean()),
        "flatness_ratio": flatness_ratio(one),
        "prompt_gain": float((nothing - prompt) / (nothing + prompt).clamp(min=1e-12)),
        "several_faces_share": float(passes_for_front[elsewhere].float().mean()),
    }


def gate_candidate(scores: Mapping[str, float], gates: GateConfig, progress: float) -> PromptFailure | None:
    """The failure that ends a candidate with these scores at `progress` in [0, 1]; None to go on."""
    infinity = math.inf
    limits: tuple[tuple[type[PromptFailure], str, float, float], ...] = (
        (OptimizationDiverged, "prompt_gain", -infinity, infinity),
        (EmptyField, "mean_opacity", gates.min_mean_opacity, infinity),
        (FullField, "mean_opacity", -infinity, gates.max_mean_opacity),
        (FlatField, "flatness_ratio", gates.min_flatness_ratio, infinity),
        (SeveralFaces, "several_faces_share", -infinity, gates.max_several_faces_share),
        (OffPrompt, "prompt_gain", gates.min_prompt_gain.at(progress), infinity),
    )
    for failure, name, low, high in limits:
        score = scores[name]
        if not (low <= score <= high and math.isfinite(score)):
            rule = f"below {low:g}" if score < low else f"above {high:g}" if score > high else "not finite"
            return failure(f"{name} {score:.3f} is {rule} after {progress:.0%} of the steps")
    return None


def flatness_ratio(one: RadianceFields) -> float:
    """Smallest by middle standard deviation of the volume's opacity along its axes, in [0, 1].

    A ball has 1, a picture on a plate nearly 0; an empty volume has 1, which is no plate.
    """
    points = one.grid(FLATNESS_GRID)
    cell = 2.0 * one.config.bound / (FLATNESS_GRID - 1)
    mass = -torch.expm1(-one.density(points)[0] * cell).double()
    if not float(mass.sum()) > 1e-6:
        return 1.0
    centered = points[0].double() - (mass[:, None] * points[0]).sum(0) / mass.sum()
    variances = torch.linalg.eigvalsh((centered * mass[:, None]).T @ centered / mass.sum()).clamp(min=0.0)
    return float((variances[0] / variances[1].clamp(min=1e-12)).sqrt())


def _pictures(
    one: RadianceFields, views: Cameras, recipe: Recipe
) -> tuple[Float[Tensor, "V 3 H H"], Float[Tensor, "V H H"]]:
    """The field lit from each camera, over the first background that the wording can name."""
    image_px, num_views = recipe.render.image_px, len(views.fovy_deg)
    table = one.parameters()["table"]
    origins, directions = (part.reshape(num_views, 1, -1, 3).to(table) for part in rays(views, image_px))
    level = BACKGROUND_LEVELS[recipe.wording.backgrounds[0]] if recipe.wording.backgrounds else 0.5
    is_lit = recipe.shading.lit_probability > 0.0

    pictures, opacities = [], []
    for view in range(num_views):  # one at a time: a probe may not need more memory than a step
        middle = torch.full_like(origins[view, :, :, :1], 0.5)
        rendering = render(one, origins[view], directions[view], middle, recipe.render, with_normals=is_lit)
        surface = rendering.albedo
        if rendering.normals is not None:
            surface = surface * lambertian(rendering.normals, -directions[view], recipe.shading.ambient_ratio)
        pictures.append(over(surface, rendering.opacity, torch.full_like(surface, level)))
        opacities.append(rendering.opacity)

    shape = (num_views, image_px, image_px)
    return torch.cat(pictures).view(*shape, 3).permute(0, 3, 1, 2), torch.cat(opacities).view(shape)


def _denoising_errors(
    prior: ScorePrior,
    latents: Float[Tensor, "V C h w"],
    embeds_of: Mapping[str, Float[Tensor, "V L D"]],
    timesteps: tuple[float, ...],
    seed: int,
) -> dict[str, Float[Tensor, " V"]]:
    """Mean squared error of the noise per view, summed over the timesteps, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    last, num_views = len(prior.alphas_cumprod) - 1, len(latents)
    errors = {name: torch.zeros(num_views) for name in embeds_of}
    for share in timesteps:
        timestep = torch.full((num_views,), round(share * last), device=latents.device)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        noisy = add_noise(latents, noise, prior.alphas_cumprod[timestep])
        for name, embeds in embeds_of.items():
            residual = prior.predict_noise(noisy, timestep, embeds) - noise
            errors[name] += residual.square().mean(dim=(1, 2, 3)).cpu()
    return errors
