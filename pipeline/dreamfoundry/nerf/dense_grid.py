"""Few wide levels, each a dense grid with a row of features for every vertex.

The cost of reading follows the number of lookups (levels x 8), hence few wide levels instead of
many narrow ones: the encoding for CPUs.

Dimension key:  K slots · M points · L levels · E table entries · F features per level · C = L F
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.nerf.tiles import tiles
from dreamfoundry.nerf.trilinear import CORNERS, SharedGradient, cells, corner_weights, weighted_rows
from dreamfoundry.settings.field import FieldConfig


class DenseGrid:
    """Reads tables [K, E, F] in which the levels follow one another, each with x slowest."""

    def __init__(self, config: FieldConfig, device: torch.device | str) -> None:
        resolutions = config.level_resolutions
        self.features_per_level = config.features_per_level
        self.num_entries = sum(side**3 for side in resolutions)
        self._bound = config.bound
        side = torch.tensor(resolutions, dtype=torch.int32)
        corner_x, corner_y, corner_z = torch.tensor(CORNERS, dtype=torch.int32).unbind(dim=1)
        self._side = side.to(device)
        self._level_start = (side**3).cumsum(0).sub(side**3).to(device, torch.int32)
        offsets = (corner_x * side[:, None] + corner_y) * side[:, None] + corner_z
        self._corner_offset = offsets.to(device).unbind(dim=1)

    def encode(
        self, table: Float[Tensor, "K E F"], points: Float[Tensor, "K M 3"], shared: SharedGradient | None = None
    ) -> Float[Tensor, "K M C"]:
        """Features at `points`, all levels side by side; only the table gets a gradient."""
        return weighted_rows(table, *self.lookups(points))

    def lookups(self, points: Float[Tensor, "K M 3"]) -> tuple[Int[Tensor, "K M L 8"], Float[Tensor, "K M L 8"]]:
        """Rows of the stacked table that each point reads, and how much each counts."""
        slots, num_points = points.shape[:2]
        side = self._side
        countable = torch.int32 if slots * self.num_entries < 2**31 else torch.int64
        slot_start = torch.arange(slots, device=points.device, dtype=countable) * self.num_entries
        start = self._level_start + slot_start[:, None, None]
        rows = torch.empty(slots, num_points, len(side), 8, device=points.device, dtype=countable)
        weights = torch.empty_like(rows, dtype=points.dtype)
        for part in tiles(num_points, points.device):
            low, place = cells(points[:, part], side, self._bound)
            cell = (low[:, :, 0] * side + low[:, :, 1]) * side + low[:, :, 2] + start
            for offset, row in zip(self._corner_offset, rows[:, part].unbind(dim=3), strict=True):
                torch.add(cell, offset, out=row)
            corner_weights(place, out=weights[:, part])
        return rows, weights
