"""Placement of an asset: from scene units to metres, standing on the origin or around it.

Dimension key:  N vertices
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from dreamfoundry.records import Surface
from dreamfoundry.settings.export_profiles import Pivot


@dataclass(frozen=True)
class Placement:
    """Map scene units to metres: the pivot of the first level goes to the origin."""

    scale: float
    pivot: Float64[np.ndarray, " 3"]

    @staticmethod
    def of(surface: Surface, height_m: float, pivot: Pivot = "base_center") -> Placement:
        """The placement that makes `surface` `height_m` high and puts the middle of its base, or of all of it, at 0."""
        low, high = surface.vertices.min(axis=0).astype(np.float64), surface.vertices.max(axis=0).astype(np.float64)
        center = 0.5 * (low + high)
        if pivot == "base_center":
            center[1] = low[1]
        return Placement(height_m / float(high[1] - low[1]), center)

    def __call__(self, vertices: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        placed: np.ndarray = ((vertices - self.pivot) * self.scale).astype(np.float32)
        return placed
