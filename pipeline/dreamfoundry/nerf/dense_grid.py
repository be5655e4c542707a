"""Few wide levels, each a dense grid with a row of features for every vertex.

The cost of reading follows the number of lookups (levels x 8), hence few wide levels instead of
many narrow ones: the encoding for CPUs.

Dimension key:  K slots · M points · L levels · E table entries · F features per level · C = L F
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.config import FieldConfig
from dreamfoundry.nerf.trilinear import CORNERS, cells, corner_weights, weighted_rows


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
        self._corner_offset = ((corner_x * side[:, None] + corner_y) * side[:, None] + corner_z).to(device)

    def encode(self, table: Float[Tensor, "K E F"], points: Float[Tensor, "K M 3"]) -> Float[Tensor, "K M C"]:
        """Features at `points`, all levels side by side; only the table gets a gradient."""
        return weighted_rows(table, *self.lookups(points))

    def lookups(self, points: Float[Tensor, "K M 3"]) -> tuple[Int[Tensor, "K M L 8"], Float[Tensor, "K M L 8"]]:
        """Rows of the stacked table that each point reads, and how much each counts."""
        side = self._side
        slot_start = torch.arange(points.shape[0], device=points.device, dtype=torch.int32) * self.num_entries
        low, place = cells(points, side, self._bound)
        cell = (low[:, :, 0] * side + low[:, :, 1]) * side + low[:, :, 2]
        cell = cell + self._level_start + slot_start[:, None, None]
        return cell.unsqueeze(3) + self._corner_offset, corner_weights(place)
