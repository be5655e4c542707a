"""Snapshots: the grid and the pictures show the slot that they were taken of."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.snapshot import reference_cameras, take_snapshot
from dreamfoundry.records import FieldSnapshot
from dreamfoundry.settings.distillation import CameraConfig
from dreamfoundry.settings.field import FieldConfig, RenderConfig, SnapshotConfig

SMALL = FieldConfig(level_resolutions=(4, 8), features_per_level=2, hidden_width=4, bound=1.2)
RENDER = RenderConfig(samples_per_ray=48)
SNAPSHOT = SnapshotConfig(grid_resolution=17, num_views=4, view_px=17)


def trained_fields(config: FieldConfig = SMALL) -> RadianceFields:
    """Slot 1 of 2 is a blob with uneven features; slot 0 is empty of any."""
    fields = RadianceFields(config, 2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in fields.parameters().values():
            tensor[1].copy_(torch.randn(tensor.shape[1:], generator=generator))
    return fields


@pytest.fixture(scope="module")
def snapshot() -> FieldSnapshot:
    return take_snapshot(trained_fields(), 1, RENDER, SNAPSHOT, CameraConfig())


def test_the_grid_holds_the_field_at_its_vertices(snapshot: FieldSnapshot) -> None:
    fields = trained_fields()
    for index in ((8, 8, 8), (5, 9, 12), (3, 10, 8), (0, 0, 0)):
        point = torch.tensor([[[-1.2 + 2 * 1.2 * i / 16 for i in index]]])
        density, albedo = (values[1, 0] for values in fields.query(point.expand(2, 1, 3)))
        np.testing.assert_allclose(snapshot.density[index], density.item(), rtol=1e-3)
        np.testing.assert_allclose(snapshot.albedo[index] / 255.0, albedo.detach().numpy(), atol=0.5 / 255 + 1e-5)
    assert snapshot.density[0, 0, 0] == 0 < snapshot.density[8, 8, 8]


def test_two_snapshots_of_one_slot_have_equal_bytes(snapshot: FieldSnapshot) -> None:
    again = take_snapshot(trained_fields(), 1, RENDER, SNAPSHOT, CameraConfig())
    assert again.to_bytes() == snapshot.to_bytes()
    read = FieldSnapshot.from_bytes(snapshot.to_bytes())
    assert math.isclose(read.bound, 1.2, rel_tol=1e-6)
    assert np.array_equal(read.view_rgb, snapshot.view_rgb)


def test_the_first_camera_stands_in_front_and_the_next_to_the_right() -> None:
    cameras = reference_cameras(CameraConfig(radius=(2.0, 3.0), fovy_deg=(40.0, 50.0)), 4)
    x, y, z = cameras.positions.unbind(dim=-1)
    assert z[0] > 2
    assert abs(x[0]) < 1e-5
    assert x[1] > 1.5
    assert z[2] < -2
    assert x[3] < -1.5
    assert y[0] == y[2] < y[1] == y[3]
    torch.testing.assert_close(cameras.positions.norm(dim=-1), torch.full((4,), 2.5))
    assert cameras.fovy_deg.tolist() == [45.0] * 4


def test_the_pictures_show_a_ball_in_the_middle_of_nothing() -> None:
    config = dataclasses.replace(SMALL, density_blob_scale=5000.0, density_blob_radius=0.5)
    fields = trained_fields(config)
    with torch.no_grad():
        fields.parameters()["output_bias"][0, 0] = torch.tensor([0.0, 3.0, 0.0, -3.0])
    taken = take_snapshot(fields, 0, RENDER, SNAPSHOT, CameraConfig())
    middle = (slice(None), 8, 8)
    assert taken.view_opacity.shape == (4, 17, 17)
    assert (taken.view_opacity[middle] == 255).all()
    assert (taken.view_opacity[:, 0] == 0).all()
    red, green, blue = (255 / (1 + math.exp(-x)) for x in (3.0, 0.0, -3.0))
    np.testing.assert_allclose(taken.view_rgb[middle], [[red, green, blue]] * 4, atol=1.0)
    np.testing.assert_allclose(taken.view_depth[middle].astype(float), 2.75 - 0.5, atol=0.06)
    assert (taken.view_depth[:, 0] == 0).all()
    assert (taken.view_rgb[:, 0] == 0).all()


def test_the_pictures_stand_upright() -> None:
    fields = RadianceFields(dataclasses.replace(SMALL, density_blob_scale=0.0, level_resolutions=(2,)), 1)
    with torch.no_grad():  # a feature that is 1 at the top (+Y) of the cube and 0 at its base makes density
        fields.parameters()["table"].view(2, 2, 2, 2)[:, 1, :, 0] = 1.0
        fields.parameters()["hidden_weight"][0, 0, 0] = 1.0
        fields.parameters()["output_weight"][0, 0, 0] = 40.0
        fields.parameters()["output_bias"][0, 0, 0] = -20.0
    taken = take_snapshot(fields, 0, RENDER, SNAPSHOT, CameraConfig())
    assert taken.view_opacity[0, 4, 8] > 250
    assert taken.view_opacity[0, 14, 8] < 50
