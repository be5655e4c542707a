"""Placement of an asset: from scene units to metres, standing on the origin.

Dimension key:  N vertices
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from dreamfoundry.records import Surface


@dataclass(frozen=True)
class Placement:
    """Map scene units to metres: the base centre of the first level goes to the origin."""

    scale: float
    base_center: Float64[np.ndarray, " 3"]

    @staticmethod
    def of(surface: Surface, height_m: float) -> Placement:
        """The placement that makes `surface` `height_m` high."""
        low, high = surface.vertices.min(axis=0).astype(np.float64), surface.vertices.max(axis=0).astype(np.float64)
        center = 0.5 * (low + high)
        return Placement(height_m / float(high[1] - low[1]), np.array([center[0], low[1], center[2]]))

    def __call__(self, vertices: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        placed: np.ndarray = ((vertices - self.base_center) * self.scale).astype(np.float32)
        return placed
