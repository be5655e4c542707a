"""Cameras stand where the conventions say, and rays go where cameras look."""

import math
from typing import Any

import pytest
import torch

from dreamfoundry.nerf.cameras import Cameras, look_at, orbit, rays, sample_cameras
from dreamfoundry.settings.distillation import CameraConfig


def orbit_of(azimuth_deg: float, elevation_deg: float, radius: float = 2.0) -> Cameras:
    return orbit(*(torch.tensor([value]) for value in (azimuth_deg, elevation_deg, radius, 40.0)))


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "position"),
    [(0.0, 0.0, (0, 0, 2)), (90.0, 0.0, (2, 0, 0)), (180.0, 0.0, (0, 0, -2)), (0.0, 90.0, (0, 2, 0))],
)
def test_azimuth_zero_stands_on_plus_z_and_grows_towards_plus_x(
    azimuth_deg: float, elevation_deg: float, position: tuple[int, int, int]
) -> None:
    camera = orbit_of(azimuth_deg, elevation_deg)

    torch.testing.assert_close(camera.positions[0], torch.tensor(position, dtype=torch.float32), atol=1e-6, rtol=0)


@pytest.mark.parametrize("elevation_deg", [-89.0, -10.0, 0.0, 45.0, 90.0])
def test_a_pose_is_a_rotation_that_looks_at_the_origin(elevation_deg: float) -> None:
    camera = orbit_of(33.0, elevation_deg)
    rotation = camera.camera_to_world[0, :3, :3]

    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-5, rtol=0)
    assert torch.linalg.det(rotation) == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(-rotation[:, 2] * 2.0, -camera.positions[0], atol=1e-5, rtol=0)


def test_the_picture_is_upright_and_not_mirrored_seen_from_the_front() -> None:
    _, directions = rays(orbit_of(0.0, 0.0), 8)

    assert directions[0, 0, :, 1].min() > 0  # the first row looks up
    assert directions[0, :, 0, 0].max() < 0  # the first column looks to -X, which is left of a viewer on +Z


def test_rays_are_unit_and_span_the_field_of_view() -> None:
    _, directions = rays(orbit_of(0.0, 0.0), 512)
    edge_deg = math.degrees(math.acos(float((directions[0, 0, 256] * torch.tensor([0.0, 0.0, -1.0])).sum())))

    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(1, 512, 512))
    assert edge_deg == pytest.approx(20.0, abs=0.1)


def test_rays_equal_the_pinhole_formula_pixel_by_pixel() -> None:
    camera = orbit_of(-120.0, 30.0)
    origins, directions = rays(camera, 4)
    half = math.tan(math.radians(20.0))

    for row in range(4):
        for column in range(4):
            local = torch.tensor([(2 * (column + 0.5) / 4 - 1) * half, (1 - 2 * (row + 0.5) / 4) * half, -1.0])
            world = camera.camera_to_world[0, :3, :3] @ local
            torch.testing.assert_close(directions[0, row, column], world / world.norm())
            torch.testing.assert_close(origins[0, row, column], camera.positions[0])


def test_training_cameras_keep_to_their_ranges_and_cover_the_circle() -> None:
    config = CameraConfig(elevation_deg=(-10.0, 80.0), position_jitter=0.0)
    generator = torch.Generator().manual_seed(0)
    cameras = sample_cameras(config, 4000, generator)
    distance = cameras.positions.norm(dim=-1)

    assert cameras.elevation_deg.min() >= -10.0
    assert cameras.elevation_deg.max() <= 80.0
    assert distance.min() >= 2.499
    assert distance.max() <= 3.001
    assert cameras.fovy_deg.min() >= 40.0
    assert cameras.fovy_deg.max() <= 50.0
    # Each of the 4000 strata of the circle holds one camera.
    gaps_deg = torch.diff(cameras.azimuth_deg.sort().values)
    assert gaps_deg.max() < 2 * 360.0 / 4000 + 1e-3


def test_area_sampling_looks_less_often_from_the_pole_than_angle_sampling() -> None:
    def share_above_60_deg(probability: float) -> float:
        config = CameraConfig(elevation_deg=(-10.0, 90.0), uniform_area_probability=probability)
        cameras = sample_cameras(config, 20_000, torch.Generator().manual_seed(1))
        return float((cameras.elevation_deg > 60.0).float().mean())

    by_area = (1 - math.sin(math.radians(60))) / (1 + math.sin(math.radians(10)))
    assert share_above_60_deg(1.0) == pytest.approx(by_area, abs=0.01)
    assert share_above_60_deg(0.0) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("uniform_in", ["degrees", "focal_length"])
def test_fields_of_view_are_uniform_in_degrees_or_in_focal_length(uniform_in: Any) -> None:
    config = CameraConfig(fovy_deg=(20.0, 100.0), fovy_uniform_in=uniform_in)
    fovy_deg = sample_cameras(config, 20_000, torch.Generator().manual_seed(2)).fovy_deg
    focal = 0.5 / torch.tan(torch.deg2rad(fovy_deg) / 2)
    drawn = fovy_deg if uniform_in == "degrees" else focal
    quartiles = (drawn.quantile(torch.tensor([0.25, 0.5, 0.75])) - drawn.min()) / (drawn.max() - drawn.min())

    assert fovy_deg.min() == pytest.approx(20.0, abs=0.1)
    assert fovy_deg.max() == pytest.approx(100.0, abs=0.1)
    assert quartiles.tolist() == pytest.approx([0.25, 0.5, 0.75], abs=0.015)


def test_the_same_generator_state_gives_the_same_cameras() -> None:
    first, second = (sample_cameras(CameraConfig(), 4, torch.Generator().manual_seed(7)) for _ in range(2))

    assert torch.equal(first.camera_to_world, second.camera_to_world)


def test_looking_straight_down_is_defined() -> None:
    pose = look_at(torch.tensor([[0.0, 2.0, 0.0]]), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))

    assert torch.isfinite(pose).all()
    torch.testing.assert_close(pose[0, :3, 0], torch.tensor([1.0, 0.0, 0.0]))
