"""Volume rendering against a loop, against geometry, and against its neighbours."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import torch
from torch import Tensor

from dreamfoundry.distill.step.slot_adam import SlotAdam
from dreamfoundry.nerf.cameras import orbit, rays
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.render import Rendering, _render_all, over, ray_weights, render, surface_normals
from dreamfoundry.settings.field import FieldConfig, RenderConfig

SMALL = FieldConfig(level_resolutions=(3, 6), features_per_level=2, hidden_width=4)
MIDDLE = torch.full((1, 1, 1), 0.5)


def constant_field(density: float, bound: float = 1.0) -> RadianceFields:
    """One slot with the same density and a grey albedo everywhere in its sphere."""
    config = dataclasses.replace(SMALL, density_activation="exp", density_blob_scale=0.0, bound=bound)
    fields = RadianceFields(config, 1)
    with torch.no_grad():
        fields.parameters()["output_bias"][..., 0] = math.log(density)
    return fields


def random_fields(
    num_slots: int, dtype: torch.dtype = torch.float32, level_resolutions: tuple[int, ...] = (3, 6)
) -> RadianceFields:
    config = dataclasses.replace(SMALL, density_blob_scale=3.0, level_resolutions=level_resolutions)
    fields = RadianceFields(config, num_slots, dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in fields.parameters().values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=dtype))
    return fields


def random_rays(num_slots: int, num_rays: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(2, num_slots, num_rays, 3, generator=generator, dtype=dtype)
    origins = torch.nn.functional.normalize(drawn[0], dim=-1) * 2.5
    return origins, torch.nn.functional.normalize(drawn[1] * 0.4 - origins, dim=-1)


def slow_composite(
    density: list[float], deltas: list[float], values: list[float], background: float
) -> tuple[float, list[float]]:
    """Light that still travels, sample after sample."""
    light, color, weights = 1.0, 0.0, []
    for d, delta, value in zip(density, deltas, values, strict=True):
        stopped = light * (1 - math.exp(-d * delta))
        color += stopped * value
        weights.append(stopped)
        light -= stopped
    return color + light * background, weights


def test_compositing_equals_the_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    density = torch.rand(2, 3, 9, generator=generator, dtype=torch.float64) * 5
    deltas = torch.rand(2, 3, 9, generator=generator, dtype=torch.float64)
    values = torch.rand(2, 3, 9, 1, generator=generator, dtype=torch.float64)
    background = torch.rand(2, 3, 1, generator=generator, dtype=torch.float64)
    weights = ray_weights(density, deltas)
    colors = over((weights.unsqueeze(-1) * values).sum(dim=2), weights.sum(dim=-1), background)
    for k in range(2):
        for r in range(3):
            color, slow_weights = slow_composite(
                density[k, r].tolist(), deltas[k, r].tolist(), values[k, r, :, 0].tolist(), background[k, r, 0].item()
            )
            assert math.isclose(colors[k, r, 0].item(), color, rel_tol=1e-12)
            torch.testing.assert_close(weights[k, r], torch.tensor(slow_weights, dtype=torch.float64))


def test_the_weights_have_the_numerical_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    density = torch.rand(2, 2, 5, generator=generator, dtype=torch.float64).requires_grad_()
    deltas = torch.rand(2, 2, 5, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(ray_weights, (density, deltas))


def test_an_opaque_sample_hides_all_behind_it_without_nan() -> None:
    density = torch.tensor([[[0.0, 1e30, 5.0]]], requires_grad=True)
    weights = ray_weights(density, torch.ones(1, 1, 3))
    torch.testing.assert_close(weights.detach(), torch.tensor([[[0.0, 1.0, 0.0]]]))
    (gradient,) = torch.autograd.grad(weights.sum(), density)
    assert gradient.isfinite().all()


def test_over_shows_the_background_where_nothing_stands() -> None:
    premultiplied = torch.tensor([[[0.0] * 3, [0.25] * 3, [0.5] * 3]])
    seen = over(premultiplied, torch.tensor([[0.0, 0.5, 1.0]]), torch.full((1, 3, 3), 0.8))
    torch.testing.assert_close(seen[0, :, 0], torch.tensor([0.8, 0.65, 0.5]))


def test_a_sphere_of_constant_density_has_the_analytic_opacity() -> None:
    offsets = torch.tensor([0.0, 0.3, 0.6, 0.9, 0.99, 1.2])
    origins = torch.stack([offsets, torch.zeros(6), torch.full((6,), 3.0)], dim=-1)[None] * 1.5
    directions = torch.tensor([0.0, 0.0, -1.0]).expand(1, 6, 3)
    seen = render(constant_field(0.8, bound=1.5), origins, directions, MIDDLE, RenderConfig(samples_per_ray=8))
    chord = 2 * 1.5 * (1 - offsets.square()).clamp(min=0).sqrt()
    torch.testing.assert_close(seen.opacity[0], 1 - torch.exp(-0.8 * chord))
    torch.testing.assert_close(seen.albedo[0], 0.5 * seen.opacity[0, :, None].expand(6, 3))


def test_depth_is_where_a_dense_surface_begins_and_the_middle_of_nothing() -> None:
    origins, directions = torch.tensor([[[0.0, 0.0, 3.0]]]), torch.tensor([[[0.0, 0.0, -1.0]]])
    solid = render(constant_field(1e4), origins, directions, MIDDLE, RenderConfig(samples_per_ray=100))
    torch.testing.assert_close(solid.depth, torch.tensor([[2.01]]), atol=1e-3, rtol=0)
    empty = render(constant_field(1e-12), origins, directions, MIDDLE, RenderConfig(samples_per_ray=100))
    torch.testing.assert_close(empty.depth, torch.tensor([[3.0]]), atol=1e-3, rtol=0)


def test_normals_of_a_blob_point_outwards() -> None:
    for blob in ("linear", "gaussian"):
        fields = RadianceFields(dataclasses.replace(SMALL, density_blob=blob), 1)
        points = torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(0)) * 0.3
        expected = torch.nn.functional.normalize(points, dim=-1)
        torch.testing.assert_close(surface_normals(fields, points, 1e-2), expected, atol=5e-3, rtol=0)


def test_normals_equal_the_loop_over_differences_of_density() -> None:
    fields = random_fields(1, torch.float64)
    points = torch.randn(1, 10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.3
    step = 1e-4
    actual = surface_normals(fields, points, step)
    for r in range(10):
        gradient = torch.zeros(3, dtype=torch.float64)
        for axis in range(3):
            offset = torch.eye(3, dtype=torch.float64)[axis] * step
            ahead, behind = (fields.density(points[:, r : r + 1] + s * offset) for s in (1, -1))
            gradient[axis] = (ahead - behind).item()
        torch.testing.assert_close(actual[0, r], -gradient / gradient.norm(), atol=1e-3, rtol=0)


def test_a_flat_density_has_no_normal_and_no_explosion() -> None:
    fields = constant_field(1.0)
    normals = surface_normals(fields, torch.zeros(1, 4, 3), 0.02)
    gradients = torch.autograd.grad(normals.sum(), tuple(fields.parameters().values()), allow_unused=True)
    assert normals.abs().max() == 0
    assert all(g is None or g.isfinite().all() for g in gradients)


def test_the_whole_rendering_has_the_numerical_gradient() -> None:
    fields = random_fields(1, torch.float64, level_resolutions=(2, 3))
    origins, directions = random_rays(1, 2, torch.float64)
    config = RenderConfig(samples_per_ray=4)

    def seen(*_: Tensor) -> tuple[Tensor, Tensor]:
        # The normals stand at a depth that is held fixed, which a numerical gradient would move.
        rendering = render(fields, origins, directions, MIDDLE.double(), config, with_normals=False)
        return rendering.albedo, rendering.opacity

    assert torch.autograd.gradcheck(seen, tuple(fields.parameters().values()))


def test_normals_pass_gradients_to_the_field_and_depth_does_not() -> None:
    fields, (origins, directions) = random_fields(1), random_rays(1, 5)
    seen = render(fields, origins, directions, MIDDLE, RenderConfig(samples_per_ray=8))
    assert seen.normals is not None
    assert not seen.depth.requires_grad
    (gradient,) = torch.autograd.grad(seen.normals[..., 0].sum(), fields.parameters()["table"])
    assert gradient.abs().max() > 0


def test_rays_that_miss_show_nothing_and_change_nothing() -> None:
    fields, (origins, directions) = random_fields(2), random_rays(2, 9)
    away = directions.clone()
    away[0, ::3] *= -1.0
    away[1, 4] *= -1.0
    misses = (away != directions).any(dim=-1)
    alone = render(fields, origins, directions, MIDDLE, RenderConfig(samples_per_ray=8))
    beside = render(fields, origins, away, MIDDLE, RenderConfig(samples_per_ray=8))
    assert alone.normals is not None
    assert beside.normals is not None
    assert beside.opacity[misses].abs().max() == 0.0
    assert beside.normals[misses].abs().max() == 0.0
    for name in ("albedo", "opacity", "depth", "normals"):
        torch.testing.assert_close(getattr(beside, name)[~misses], getattr(alone, name)[~misses])


def test_a_picture_of_nothing_but_misses_is_empty_and_has_gradients() -> None:
    fields, (origins, directions) = random_fields(1), random_rays(1, 5)
    seen = render(fields, origins, -directions, MIDDLE, RenderConfig(samples_per_ray=8))
    assert seen.normals is not None
    assert seen.opacity.abs().max() == 0.0
    assert seen.depth.isfinite().all()
    loss = seen.albedo.sum() + seen.opacity.sum() + seen.normals.sum()
    gradients = torch.autograd.grad(loss, tuple(fields.parameters().values()))
    assert all(gradient.abs().max() == 0.0 for gradient in gradients)


def test_the_host_renders_what_a_device_does() -> None:
    fields, (origins, directions) = random_fields(2, torch.float64), random_rays(2, 30, torch.float64)
    directions[:, ::4] *= -1.0
    sides = []
    for seen_by in (render, partial(_render_all, with_normals=True)):
        seen = seen_by(fields, origins, directions, MIDDLE.double(), RenderConfig(samples_per_ray=8))
        assert seen.normals is not None
        loss = seen.albedo.sum() + seen.opacity.square().sum() + (seen.normals[..., 1] * seen.opacity.detach()).sum()
        gradients = torch.autograd.grad(loss, tuple(fields.parameters().values()))
        sides.append([seen.albedo, seen.opacity, seen.depth, *gradients])
    torch.testing.assert_close(sides[1], sides[0])


def test_a_slot_has_the_same_bits_alone_and_among_others() -> None:
    fields, (origins, directions) = random_fields(3), random_rays(3, 40)
    together = seen_and_gradients(fields, origins, directions)
    alone = seen_and_gradients(fields.part(slice(1, 2)), origins[1:2], directions[1:2])
    assert all(torch.equal(one[1], own[0]) for one, own in zip(together, alone, strict=True))


def seen_and_gradients(fields: RadianceFields, origins: Tensor, directions: Tensor) -> list[Tensor]:
    seen: Rendering = render(fields, origins, directions, MIDDLE, RenderConfig(samples_per_ray=8))
    assert seen.normals is not None
    loss = seen.albedo.sum() + seen.opacity.square().sum() + seen.normals[..., 1].sum()
    gradients = torch.autograd.grad(loss, tuple(fields.parameters().values()))
    return [seen.albedo.detach(), seen.depth, seen.normals.detach(), *gradients]


def test_a_slot_renders_alike_beside_any_neighbours_also_diverged_ones() -> None:
    origins, directions = random_rays(3, 20)
    before = seen_and_gradients(random_fields(3), origins, directions)
    for poison in (0.3, math.nan, math.inf):
        fields = random_fields(3)
        with torch.no_grad():
            for tensor in fields.parameters().values():
                tensor[0] = poison
        after = seen_and_gradients(fields, origins, directions)
        assert not torch.equal(before[0][0], after[0][0])
        assert all(torch.equal(a[1:], b[1:]) for a, b in zip(before, after, strict=True))


def test_two_slots_learn_two_colored_balls_from_pictures() -> None:
    """Field, rendering and Adam together: each slot comes to show its own ball, seen from a new side."""
    config = FieldConfig(level_resolutions=(8, 16), features_per_level=4, hidden_width=16)
    fields = RadianceFields(config, 2)
    for slot in range(2):
        fields.init_slot(slot, torch.Generator().manual_seed(slot))
    parameters = fields.parameters()
    adam = SlotAdam(parameters, (0.9, 0.99), 1e-15)
    rates = {name: torch.full((2,), 0.05 if name == "table" else 0.01) for name in parameters}
    colors, radius = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.2, 0.8]]), torch.tensor([0.4, 0.7])

    def ball(azimuth_deg: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        views = azimuth_deg.shape[0]
        cameras = orbit(azimuth_deg, torch.full((views,), 20.0), torch.full((views,), 2.7), torch.full((views,), 45.0))
        origins, directions = (part.reshape(1, -1, 3).expand(2, -1, 3) for part in rays(cameras, 12))
        hit = (torch.linalg.cross(origins, directions).norm(dim=-1) < radius[:, None]).float()
        return origins, directions, hit.unsqueeze(-1) * colors[:, None], hit

    generator = torch.Generator().manual_seed(0)
    render_config = RenderConfig(samples_per_ray=24)
    for _ in range(60):
        origins, directions, color, hit = ball(torch.rand(2, generator=generator) * 360)
        jitter = torch.rand(2, origins.shape[1], 1, generator=generator)
        seen = render(fields, origins, directions, jitter, render_config, with_normals=False)
        loss = (seen.albedo - color).square().mean() + (seen.opacity - hit).square().mean()
        gradients = torch.autograd.grad(loss, tuple(parameters.values()))
        adam.step(dict(zip(parameters, gradients, strict=True)), torch.ones(2), rates, torch.tensor([True, True]))
    origins, directions, color, hit = ball(torch.tensor([123.0]))
    seen = render(fields, origins, directions, MIDDLE, render_config)
    assert ((seen.opacity - hit).square().mean(dim=1) < 0.03).all()
    assert ((seen.albedo - color).square().mean(dim=(1, 2)) < 0.02).all()
