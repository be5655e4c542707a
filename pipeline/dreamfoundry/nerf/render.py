"""Volume rendering: from rays to albedo, opacity, depth and normals, for K assets at once.

DreamFusion shades every sample with a normal of its own. We shade once per ray, with the normal
at the expected depth: 6 more density queries per ray instead of 3 or 6 per *sample* (64 samples:
9 % more queries instead of 300 to 600 %). The two agree where a ray meets one surface.

Dimension key:  K slots · R rays per slot · S samples per ray · C channels · J 1 or S
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.kernels.availability import has_kernels
from dreamfoundry.nerf.sampling import guided_samples, sphere_interval, stratified_samples
from dreamfoundry.settings.field import RenderConfig

GRADIENT_FLOOR = 1e-4
"""Slopes of the density logit far below this (per scene unit) have no direction: normal 0."""


@dataclass(frozen=True)
class Rendering:
    """Picture along rays. `albedo` is premultiplied by opacity; no background is in it.

    `depth` is the expected distance along the ray of what it hits, in scene units, without
    gradients (the middle of the chord where it hits nothing). `normals` are unit vectors out of
    the surface at that depth, or None when they were not requested.
    """

    albedo: Float[Tensor, "K R 3"]
    opacity: Float[Tensor, "K R"]
    depth: Float[Tensor, "K R"]
    normals: Float[Tensor, "K R 3"] | None


def ray_weights(density: Float[Tensor, "K R S"], deltas: Float[Tensor, "K R S"]) -> Float[Tensor, "K R S"]:
    """Share of a ray that ends in each sample (Max 1995; NeRF, equation 3):

    w_i = exp(-sum_{j<i} density_j delta_j) (1 - exp(-density_i delta_i)),  in [0, 1], sum <= 1.
    """
    optical_depth = density * deltas
    before = torch.cumsum(optical_depth, dim=-1) - optical_depth
    return torch.exp(-before) * -torch.expm1(-optical_depth)


def accumulate(
    density: Float[Tensor, "K R S"],
    albedo: Float[Tensor, "K R S 3"],
    deltas: Float[Tensor, "K R S"],
    distances: Float[Tensor, "K R S"],
) -> tuple[Float[Tensor, "K R"], Float[Tensor, "K R 3"], Float[Tensor, "K R"]]:
    """Opacity of rays, premultiplied albedo and expected distance of what they hit.

    Gradients reach density and albedo; the distance has none.
    """
    if has_kernels(density.device):
        from dreamfoundry.nerf.kernels import compositing

        return compositing.accumulate(density, albedo, deltas, distances)

    weights = ray_weights(density, deltas)
    opacity = weights.sum(dim=-1)
    premultiplied = torch.matmul(weights.unsqueeze(2), albedo).squeeze(2)
    return opacity, premultiplied, _expected_distance(weights.detach(), distances)


def over(
    premultiplied: Float[Tensor, "K R C"], opacity: Float[Tensor, "K R"], background: Float[Tensor, "K R C"]
) -> Float[Tensor, "K R C"]:
    """A premultiplied picture in front of a background:  premultiplied + (1 - opacity) background."""
    return premultiplied + (1.0 - opacity).unsqueeze(-1) * background


def surface_normals(fields: RadianceFields, points: Float[Tensor, "K R 3"], step: float) -> Float[Tensor, "K R 3"]:
    """Unit vectors against the gradient of the density at `points`, out of the dense side.

    Central differences of the density *before* its activation over `step` scene units: the same
    direction as the density's own gradient, and defined where the density saturates or vanishes.
    Differentiable in the field's parameters; smoothly 0 where the gradient is below
    GRADIENT_FLOOR.
    """
    slots, num_rays = points.shape[:2]
    offsets = step * torch.eye(3, device=points.device, dtype=points.dtype)
    probes = points.unsqueeze(2) + torch.cat([offsets, -offsets])
    logit = fields.density_logit(probes.view(slots, num_rays * 6, 3)).view(slots, num_rays, 6)
    outwards = (logit[..., 3:] - logit[..., :3]) / (2.0 * step)
    squared = outwards.square().sum(dim=-1, keepdim=True)
    return outwards * torch.rsqrt(squared + GRADIENT_FLOOR**2)


def render(
    fields: RadianceFields,
    origins: Float[Tensor, "K R 3"],
    directions: Float[Tensor, "K R 3"],
    uniforms: Float[Tensor, "#K #R J"],
    config: RenderConfig,
    *,
    with_normals: bool = True,
) -> Rendering:
    """Render all slots along rays with unit `directions`; `uniforms` as in `stratified_samples`.

    Fields that keep an occupancy grid get most of a ray's samples where it is not empty.
    """
    if origins.device.type != "cpu":
        return _render_all(fields.for_one_pass(), origins, directions, uniforms, config, with_normals)

    # the host can read its own numbers and skip rays that miss; slot by slot, so that a slot has the
    # same bits whatever K is and its intermediates stay in the cache
    uniforms = uniforms.expand(*origins.shape[:2], -1)
    alone = zip(fields.parts([1] * len(origins)), origins.split(1), directions.split(1), uniforms.split(1), strict=True)
    renderings = [_render_hits(*one, config, with_normals) for one in alone]
    normals = [one.normals for one in renderings if one.normals is not None]
    return Rendering(
        albedo=torch.cat([one.albedo for one in renderings]),
        opacity=torch.cat([one.opacity for one in renderings]),
        depth=torch.cat([one.depth for one in renderings]),
        normals=torch.cat(normals) if with_normals else None,
    )


def _render_hits(
    fields: RadianceFields,
    origins: Tensor,
    directions: Tensor,
    uniforms: Tensor,
    config: RenderConfig,
    with_normals: bool,
) -> Rendering:
    """`_render_all` of one slot; rays that miss the bounding sphere cost nothing and have no normal (0)."""
    near, far = sphere_interval(origins, directions, fields.config.bound)
    hits = (far > near)[0].nonzero()[:, 0]
    rendering = _render_all(fields, origins[:, hits], directions[:, hits], uniforms[:, hits], config, with_normals)
    none, black = torch.zeros_like(near), torch.zeros_like(origins)
    return Rendering(
        albedo=black.index_copy(1, hits, rendering.albedo),
        opacity=none.index_copy(1, hits, rendering.opacity),
        depth=near.index_copy(1, hits, rendering.depth),
        normals=None if rendering.normals is None else black.index_copy(1, hits, rendering.normals),
    )


def _render_all(
    fields: RadianceFields,
    origins: Tensor,
    directions: Tensor,
    uniforms: Tensor,
    config: RenderConfig,
    with_normals: bool,
) -> Rendering:
    slots, num_rays = origins.shape[:2]
    shape = (slots, num_rays, config.samples_per_ray)
    ray = (origins, directions, uniforms, config.samples_per_ray, fields.config.bound)
    samples = stratified_samples(*ray) if fields.occupancy is None else guided_samples(*ray, fields.occupancy)
    density, albedo = fields.query(samples.points.flatten(1, 2))
    opacity, premultiplied, depth = accumulate(
        density.view(shape), albedo.view(*shape, 3), samples.deltas, samples.distances
    )
    normals = None
    if with_normals:
        normals = surface_normals(fields, origins + depth.unsqueeze(-1) * directions, config.normal_step)
    return Rendering(premultiplied, opacity, depth, normals)


def _expected_distance(weights: Tensor, distances: Tensor) -> Tensor:
    """Mean distance under the weights; a trace of equal weights decides where all are zero."""
    weights = weights + 1e-6
    return (weights * distances).sum(dim=-1) / weights.sum(dim=-1)
