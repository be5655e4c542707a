"""Samples along rays: inside the sphere, one per bin, nothing on a miss."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dreamfoundry.nerf.sampling import sphere_interval, stratified_samples


def random_rays(num_rays: int, distance: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    origins = torch.nn.functional.normalize(torch.randn(2, num_rays, 3, generator=generator), dim=-1) * distance
    targets = torch.randn(2, num_rays, 3, generator=generator) * 0.6
    return origins, torch.nn.functional.normalize(targets - origins, dim=-1)


def test_the_interval_is_the_chord_of_the_sphere() -> None:
    origins = torch.tensor([[[0.0, 0.0, 3.0], [0.6, 0.0, 3.0], [0.0, 0.0, 0.0], [0.0, 0.0, 3.0], [2.0, 0.0, 3.0]]])
    backwards = torch.tensor([[[0.0, 0.0, -1.0]] * 3 + [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    near, far = sphere_interval(origins, backwards, 1.0)
    torch.testing.assert_close(near[0], torch.tensor([2.0, 2.2, 0.0, 0.0, 3.0]))
    torch.testing.assert_close(far[0], torch.tensor([4.0, 3.8, 1.0, 0.0, 3.0]))


def test_the_ends_of_the_interval_lie_on_the_sphere() -> None:
    origins, directions = random_rays(50)
    near, far = sphere_interval(origins, directions, 1.2)
    hit = far > near
    assert 10 < int(hit.sum()) < 100
    for distance in (near, far):
        radius = (origins + distance.unsqueeze(-1) * directions).norm(dim=-1)
        torch.testing.assert_close(radius[hit], torch.full_like(radius[hit], 1.2))
        assert (radius[~hit] >= 1.2).all()


@pytest.mark.parametrize("per_sample", [False, True])
def test_every_bin_holds_one_sample_inside_the_sphere(per_sample: bool) -> None:
    origins, directions = random_rays(50)
    uniforms = torch.rand(2, 50, 16 if per_sample else 1, generator=torch.Generator().manual_seed(1))
    samples = stratified_samples(origins, directions, uniforms, 16, 1.2)
    near, far = sphere_interval(origins, directions, 1.2)
    hit = far > near
    share = ((samples.distances - near.unsqueeze(-1)) / (far - near).unsqueeze(-1))[hit]
    torch.testing.assert_close(share * 16 - torch.arange(16), uniforms.expand(2, 50, 16)[hit], atol=1e-3, rtol=0.0)
    assert (samples.points.norm(dim=-1)[hit] < 1.2 + 1e-5).all()
    torch.testing.assert_close(
        samples.points, origins[:, :, None] + samples.distances[..., None] * directions[:, :, None]
    )


def test_the_lengths_add_up_to_the_chord_and_to_zero_on_a_miss() -> None:
    origins, directions = random_rays(50)
    samples = stratified_samples(origins, directions, torch.full((2, 50, 1), 0.5), 7, 1.2)
    near, far = sphere_interval(origins, directions, 1.2)
    torch.testing.assert_close(samples.deltas.sum(dim=-1), far - near)
    assert samples.deltas[far == near].abs().max() == 0


def test_a_ray_that_is_not_a_number_stays_in_its_slot() -> None:
    origins, directions = random_rays(8)
    whole = stratified_samples(origins, directions, torch.full((2, 8, 1), 0.5), 4, 1.0)
    origins[0] = math.nan
    broken = stratified_samples(origins, directions, torch.full((2, 8, 1), 0.5), 4, 1.0)
    assert torch.equal(whole.points[1], broken.points[1])
    assert torch.equal(whole.deltas[1], broken.deltas[1])
