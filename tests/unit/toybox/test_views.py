"""Pictures of toys: traced geometry, coloured and lit afterwards."""

import pytest
import torch

from dreamfoundry.nerf.cameras import orbit, rays
from dreamfoundry.toybox.captions import COLORS
from dreamfoundry.toybox.toys import KINDS_WITH_FRONT, role_palette, toy
from dreamfoundry.toybox.views import NO_ROLE, ViewBuffers, shade, trace


def front_and_back(kind: str) -> ViewBuffers:
    cameras = orbit(torch.tensor([0.0, 180.0]), torch.full((2,), 20.0), torch.full((2,), 2.6), torch.full((2,), 40.0))
    return trace(toy(kind), cameras, 24)


@pytest.mark.parametrize("kind", KINDS_WITH_FRONT)
def test_kinds_with_a_front_look_different_from_behind(kind: str) -> None:
    buffers = front_and_back(kind)
    front, back = buffers.roles[0] != NO_ROLE, buffers.roles[1] != NO_ROLE
    different = (buffers.roles[0] != buffers.roles[1]) | (front != back.flip(-1))

    assert different.float().mean() > 0.004


def test_tracing_equals_marching_in_small_steps() -> None:
    cameras = orbit(torch.tensor([40.0]), torch.tensor([25.0]), torch.tensor([2.6]), torch.tensor([40.0]))
    origins, directions = rays(cameras, 16)
    depths = torch.arange(1.5, 3.7, 0.004)
    points = origins[0, :, :, None] + depths[:, None] * directions[0, :, :, None]
    marched = (toy("chair").distance(points) < 0).any(dim=-1)
    traced = trace(toy("chair"), cameras, 8).roles[0] != NO_ROLE

    assert (marched != traced).float().mean() < 0.02


def test_an_ambient_ratio_of_one_shows_the_albedo_over_the_background() -> None:
    buffers = front_and_back("sphere")
    picture = shade(
        buffers,
        role_palette("red").expand(2, -1, -1),
        torch.tensor([[0.0, 1.0, 0.0]]).expand(2, 3),
        torch.ones(2),
        torch.tensor([1.0, 0.0]),
    )

    torch.testing.assert_close(picture[0, :, 12, 12], torch.tensor(COLORS["red"]))
    torch.testing.assert_close(picture[:, :, 0, 0], torch.tensor([[1.0] * 3, [0.0] * 3]))
