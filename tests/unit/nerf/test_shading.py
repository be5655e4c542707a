"""Light on a surface, and how often which shading is drawn."""

import pytest
import torch

from dreamfoundry.nerf.shading import (
    ALBEDO,
    LIT,
    TEXTURELESS,
    draw_shading,
    lambertian,
    light_directions,
    sample_lights,
)
from dreamfoundry.settings.distillation import ShadingConfig

UP = torch.tensor([[0.0, 1.0, 0.0]])


@pytest.mark.parametrize(("angle_deg", "brightness"), [(0.0, 1.0), (60.0, 0.55), (90.0, 0.1), (150.0, 0.1)])
def test_brightness_is_ambient_plus_the_cosine_towards_the_light(angle_deg: float, brightness: float) -> None:
    angle = torch.deg2rad(torch.tensor(angle_deg))
    light = torch.stack([torch.sin(angle), torch.cos(angle), torch.tensor(0.0)])[None]

    assert lambertian(UP, light, 0.1).item() == pytest.approx(brightness, abs=1e-6)


def test_shares_of_shadings_are_those_of_dreamfusion() -> None:
    config = ShadingConfig()
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([draw_shading(config, 0.5, generator) for _ in range(20_000)])
    shares = [float((draws == kind).float().mean()) for kind in (ALBEDO, LIT, TEXTURELESS)]

    assert shares == pytest.approx([0.25, 0.375, 0.375], abs=0.012)


def test_the_first_steps_are_albedo_only() -> None:
    generator = torch.Generator().manual_seed(0)

    assert {draw_shading(ShadingConfig(), 0.0, generator) for _ in range(100)} == {ALBEDO}


def test_the_generator_advances_alike_whatever_is_drawn() -> None:
    early, late = (torch.Generator().manual_seed(3) for _ in range(2))
    draw_shading(ShadingConfig(), 0.0, early)
    draw_shading(ShadingConfig(), 0.9, late)

    assert torch.equal(early.get_state(), late.get_state())


def test_lights_are_mostly_on_the_side_of_the_camera_and_at_their_distance() -> None:
    positions = torch.tensor([[0.0, 0.0, 2.5]]).expand(5000, 3)
    lights = sample_lights(positions, ShadingConfig(light_distance=(0.8, 1.5)), torch.Generator().manual_seed(0))
    distance = lights.norm(dim=-1)

    assert 0.8 <= distance.min() < 0.81
    assert 1.49 < distance.max() <= 1.5 + 1e-5
    assert (lights[:, 2] > 0).float().mean() > 0.95


def test_a_distant_light_comes_from_one_direction_and_a_point_light_from_its_place() -> None:
    light = torch.tensor([0.0, 2.0, 0.0]).expand(2, 3)
    surface = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])

    assert torch.equal(light_directions(light, surface, "distant"), UP.expand(2, 3))
    diagonal = torch.tensor([-(0.5**0.5), 0.5**0.5, 0.0])
    torch.testing.assert_close(light_directions(light, surface, "point"), torch.stack([UP[0], diagonal]))
