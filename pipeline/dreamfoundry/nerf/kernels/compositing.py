"""From the samples of a ray to what it sees, in one pass on CUDA: twin of `render.accumulate`.

A program has a few whole rays, so every sum and scan stays within it and nothing is added in an
order that depends on the number of slots.

Dimension key:  K slots · R rays per slot · S samples per ray
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.nerf.kernels.launch import launch

SAMPLES_PER_PROGRAM = 1024


def accumulate(
    density: Float[Tensor, "K R S"],
    albedo: Float[Tensor, "K R S 3"],
    deltas: Float[Tensor, "K R S"],
    distances: Float[Tensor, "K R S"],
) -> tuple[Float[Tensor, "K R"], Float[Tensor, "K R 3"], Float[Tensor, "K R"]]:
    """Opacity, premultiplied albedo and expected distance of rays, as `render.accumulate`.

    Gradients reach density and albedo; depth has none.
    """
    opacity, premultiplied, depth = _Accumulate.apply(  # type: ignore[no-untyped-call]
        density, albedo, deltas.detach(), distances.detach()
    )
    return opacity, premultiplied, depth


class _Accumulate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, density: Tensor, albedo: Tensor, deltas: Tensor, distances: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        inputs = (density.contiguous(), albedo.contiguous(), deltas.contiguous())
        ctx.save_for_backward(*inputs)
        slots, num_rays = density.shape[:2]
        opacity, premultiplied, depth = (density.new_empty(slots, num_rays, *of) for of in ((), (3,), ()))
        _launch(_forward, *inputs, distances.contiguous(), opacity, premultiplied, depth)
        ctx.mark_non_differentiable(depth)
        return opacity, premultiplied, depth

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        density, albedo, deltas = ctx.saved_tensors
        density_gradient, albedo_gradient = torch.empty_like(density), torch.empty_like(albedo)
        incoming = (gradient.contiguous() for gradient in gradients[:2])
        _launch(_backward, density, albedo, deltas, *incoming, density_gradient, albedo_gradient)
        return density_gradient, albedo_gradient, None, None


def _launch(kernel: Any, density: Tensor, *others: Tensor) -> None:
    slots, rays_per_slot, num_samples = density.shape
    samples = triton.next_power_of_2(num_samples)
    rays = max(1, SAMPLES_PER_PROGRAM // samples)
    num_rays = slots * rays_per_slot
    grid = (triton.cdiv(num_rays, rays),)
    launch(kernel, grid, density, *others, num_rays, num_samples, RAYS=rays, SAMPLES=samples)


@triton.jit
@no_type_check
def _forward(
    density,
    albedo,
    deltas,
    distances,
    opacity,
    premultiplied,
    depth,
    num_rays,
    num_samples,
    RAYS: tl.constexpr,
    SAMPLES: tl.constexpr,
):
    ray, is_ray, at, is_sample = _rays(num_rays, num_samples, RAYS, SAMPLES)

    optical_depth = tl.load(density + at, mask=is_sample, other=0.0) * tl.load(deltas + at, mask=is_sample, other=0.0)
    before = tl.cumsum(optical_depth, axis=1) - optical_depth
    weight = tl.exp(-before) * _stopped(optical_depth)
    tl.store(opacity + ray, tl.sum(weight, axis=1), mask=is_ray)
    for channel in tl.static_range(3):
        color = tl.load(albedo + at * 3 + channel, mask=is_sample, other=0.0)
        tl.store(premultiplied + ray * 3 + channel, tl.sum(weight * color, axis=1), mask=is_ray)
    # The trace of `render._expected_distance`; places behind the last sample have none.
    traced = tl.where(is_sample, weight + 1e-6, 0.0)
    distance = tl.sum(traced * tl.load(distances + at, mask=is_sample, other=0.0), axis=1)
    tl.store(depth + ray, distance / tl.sum(traced, axis=1), mask=is_ray)


@triton.jit
@no_type_check
def _backward(
    density,
    albedo,
    deltas,
    opacity_gradient,
    premultiplied_gradient,
    density_gradient,
    albedo_gradient,
    num_rays,
    num_samples,
    RAYS: tl.constexpr,
    SAMPLES: tl.constexpr,
):
    ray, is_ray, at, is_sample = _rays(num_rays, num_samples, RAYS, SAMPLES)

    delta = tl.load(deltas + at, mask=is_sample, other=0.0)
    optical_depth = tl.load(density + at, mask=is_sample, other=0.0) * delta
    light = tl.exp(-(tl.cumsum(optical_depth, axis=1) - optical_depth))
    weight = light * _stopped(optical_depth)
    of_weight = tl.zeros_like(weight) + tl.load(opacity_gradient + ray, mask=is_ray, other=0.0)[:, None]
    for channel in tl.static_range(3):
        of_premultiplied = tl.load(premultiplied_gradient + ray * 3 + channel, mask=is_ray, other=0.0)[:, None]
        of_weight += of_premultiplied * tl.load(albedo + at * 3 + channel, mask=is_sample, other=0.0)
        tl.store(albedo_gradient + at * 3 + channel, weight * of_premultiplied, mask=is_sample)
    # More matter in a sample stops more light there, and leaves less for all behind it.
    share = of_weight * weight
    behind = tl.cumsum(share, axis=1, reverse=True) - share
    tl.store(density_gradient + at, (of_weight * light * tl.exp(-optical_depth) - behind) * delta, mask=is_sample)


@triton.jit
@no_type_check
def _rays(num_rays, num_samples, RAYS: tl.constexpr, SAMPLES: tl.constexpr):
    """The rays of this program and the places of their samples, each with a mask of those that there are."""
    ray = tl.program_id(0).to(tl.int64) * RAYS + tl.arange(0, RAYS)
    sample = tl.arange(0, SAMPLES)
    is_ray = ray < num_rays
    is_sample = is_ray[:, None] & (sample < num_samples)[None, :]
    at = ray[:, None] * num_samples + sample[None, :]
    return ray, is_ray, at, is_sample


@triton.jit
@no_type_check
def _stopped(optical_depth):
    """1 - exp(-x) without the loss of digits at small x, where it is a short series."""
    small = tl.minimum(optical_depth, 0.25)
    series = tl.full(small.shape, 1.0, small.dtype)
    for term in tl.static_range(12, 1, -1):
        series = 1.0 - small * (1.0 / term) * series
    return tl.where(optical_depth < 0.25, small * series, 1.0 - tl.exp(-optical_depth))
