"""Tiles of points: on a CPU they cover every point once, elsewhere there is only one."""

from __future__ import annotations

import torch

from dreamfoundry.nerf.tiles import POINTS_PER_TILE, tiles


def test_tiles_cover_every_point_once_and_a_device_has_only_one() -> None:
    for num_points in (0, 1, POINTS_PER_TILE, 2 * POINTS_PER_TILE + 1):
        parts = tiles(num_points, torch.device("cpu"))
        assert [point for part in parts for point in range(part.start, part.stop)] == list(range(num_points))
    assert tiles(10**6, torch.device("meta")) == [slice(0, 10**6)]
