"""Many narrow levels of growing resolution; those too fine for a table of their own share one by a hash.

The multiresolution hash encoding of instant-ngp (Mueller et al. 2022, arXiv 2201.05989, section 3).
A hash is no map: vertices that fall on the same row share its features, and training gives the row
to whichever of them matters, mostly the one at the surface.

Dimension key:  K slots · M points · L levels · E table entries · F features per level · C = L F
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.nerf.kernels.availability import has_kernels
from dreamfoundry.nerf.trilinear import CORNERS, SharedGradient, cells, corner_weights, weighted_rows
from dreamfoundry.settings.field import FieldConfig

HASH_PRIMES = (1, 2_654_435_761, 805_459_861)
"""The factors of x, y and z (instant-ngp, equation 4)."""


class HashGrid:
    """Reads tables [K, E, F] in which the levels follow one another.

    A level whose vertices fit into `entries_per_level` has a row for each of them, x slowest. On
    the others the row of a vertex is the exclusive or of its coordinates, each times its prime,
    modulo the number of entries. `levels` [L, 3] says of each level how many vertices it has per
    side, where its rows begin and whether it is hashed.
    """

    def __init__(self, config: FieldConfig, device: torch.device | str) -> None:
        grid = config.hash_grid
        self.features_per_level = grid.features_per_level
        self.entries_per_level = grid.entries_per_level
        self.bound = config.bound
        levels, start = [], 0
        for side in grid.level_resolutions:
            is_hashed = side**3 > grid.entries_per_level
            levels.append((side, start, int(is_hashed)))
            start += grid.entries_per_level if is_hashed else side**3
        self.num_entries = start
        self.levels = torch.tensor(levels, dtype=torch.int32, device=device)
        # What x, y and z are multiplied with; products with primes need more than 32 bits.
        factors = [HASH_PRIMES if is_hashed else (side**2, side, 1) for side, _, is_hashed in levels]
        self._factors = torch.tensor(factors, device=device).T

    def encode(
        self, table: Float[Tensor, "K E F"], points: Float[Tensor, "K M 3"], shared: SharedGradient | None = None
    ) -> Float[Tensor, "K M C"]:
        """Features at `points`, all levels side by side; only the table gets a gradient, `shared` if that is given."""
        if has_kernels(table.device):
            from dreamfoundry.nerf.kernels.hash_encoding import hash_encoding

            return hash_encoding(table, points, self.levels, self.entries_per_level, self.bound, shared)
        return weighted_rows(table, *self.lookups(points))

    def lookups(self, points: Float[Tensor, "K M 3"]) -> tuple[Int[Tensor, "K M L 8"], Float[Tensor, "K M L 8"]]:
        """Rows of the stacked table that each point reads, and how much each counts."""
        side, level_start, is_hashed = self.levels.unbind(dim=1)
        low, place = cells(points, side, self.bound)
        ends = [(low + end).long() * self._factors for end in (0, 1)]
        x, y, z = ([end[:, :, axis] for end in ends] for axis in range(3))
        dense = torch.stack([x[i] + y[j] + z[k] for i, j, k in CORNERS], dim=-1)
        hashed = torch.stack([x[i] ^ y[j] ^ z[k] for i, j, k in CORNERS], dim=-1) & (self.entries_per_level - 1)
        rows = torch.where(is_hashed.bool()[:, None], hashed, dense) + level_start[:, None]
        slot_start = torch.arange(points.shape[0], device=points.device) * self.num_entries
        return rows + slot_start[:, None, None, None], corner_weights(place)
