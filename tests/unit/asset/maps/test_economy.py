"""A map is as large as it needs to be, and left out where it shows nothing."""

import numpy as np
import pytest

from dreamfoundry.asset.maps.economy import needed_normals, needed_occlusion

SIDE_PX = 256
EVERYWHERE = np.arange(SIDE_PX**2)


def encoded(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A normal map from the x and y of its directions."""
    directions = np.stack((x, y, np.sqrt(1.0 - x**2 - y**2)), axis=-1)
    return ((directions * 0.5 + 0.5) * 255.0).round().astype(np.uint8)


def waves(num: int, tilt_deg: float) -> np.ndarray:
    """Ripples along the rows that tilt the surface by up to so many degrees."""
    row = np.sin(np.deg2rad(tilt_deg)) * np.sin(2.0 * np.pi * num * (np.arange(SIDE_PX) + 0.5) / SIDE_PX)
    return encoded(np.broadcast_to(row, (SIDE_PX, SIDE_PX)), np.zeros((SIDE_PX, SIDE_PX)))


def test_a_flat_normal_map_is_left_out() -> None:
    assert needed_normals(waves(4, 0.0), EVERYWHERE) is None
    assert needed_normals(waves(4, 0.8), EVERYWHERE) is None


def test_a_tilt_of_five_degrees_is_kept() -> None:
    assert needed_normals(waves(4, 5.0), EVERYWHERE) is not None


def test_it_is_the_charts_that_must_be_flat() -> None:
    tilted = waves(4, 0.0)
    tilted[:128] = waves(4, 30.0)[:128]

    assert needed_normals(tilted, EVERYWHERE[128 * SIDE_PX :]) is None
    assert needed_normals(tilted, EVERYWHERE) is not None


@pytest.mark.parametrize(("num", "expected_px"), [(2, 64), (16, 128), (64, 256)])
def test_smooth_normals_need_fewer_texels_than_fine_ones(num: int, expected_px: int) -> None:
    found = needed_normals(waves(num, 8.0), EVERYWHERE)

    assert found is not None
    assert found.shape == (expected_px, expected_px, 3)


def test_halved_normals_are_unit_and_show_the_same() -> None:
    found = needed_normals(waves(2, 20.0), EVERYWHERE)

    assert found is not None
    directions = found / 127.5 - 1.0
    assert np.linalg.norm(directions, axis=-1) == pytest.approx(1.0, abs=0.01)
    step = SIDE_PX // len(found)
    expected = waves(2, 20.0).reshape(len(found), step, len(found), step, 3).mean(axis=(1, 3))
    assert np.abs(found - expected).max() < 2.0


def test_an_open_surface_has_no_occlusion_map_and_one_dark_corner_is_enough_for_one() -> None:
    occlusion = np.full((SIDE_PX, SIDE_PX, 1), 254, np.uint8)

    assert needed_occlusion(occlusion, EVERYWHERE) is None
    occlusion[:40, :40] = 100
    assert needed_occlusion(occlusion, EVERYWHERE) is not None


def test_occlusion_has_at_most_half_the_side() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIDE_PX, SIDE_PX, 1), dtype=np.uint8)

    found = needed_occlusion(noise, EVERYWHERE)

    assert found is not None
    assert found.shape == (128, 128, 1)
    np.testing.assert_allclose(found[..., 0], noise.reshape(128, 2, 128, 2).mean(axis=(1, 3)), atol=0.51)


def test_a_soft_shade_needs_few_texels() -> None:
    shade = np.broadcast_to(np.linspace(50, 255, SIDE_PX)[:, None, None], (SIDE_PX, SIDE_PX, 1)).astype(np.uint8)

    found = needed_occlusion(shade, EVERYWHERE)

    assert found is not None
    assert len(found) == 64
