"""Tiles of points for a CPU: small enough that the intermediate results stay in its cache."""

from __future__ import annotations

import torch

POINTS_PER_TILE = 16384
"""Two MiB for each 32 numbers that a point needs."""


def tiles(num_points: int, device: torch.device) -> list[slice]:
    """The points in tiles on a CPU; all of them at once on a device, where every call has its price."""
    tile = POINTS_PER_TILE if device.type == "cpu" else max(1, num_points)
    return [slice(start, min(start + tile, num_points)) for start in range(0, num_points, tile)]
