"""Stage 5, the charts of an atlas: number, share of tiny ones, triangles without area.

A surface that is rough at the size of its triangles falls into hundreds of charts of one or two triangles. Each costs
vertices and padding, and each of its edges is a seam on which mip levels differ.

Dimension key:  N vertices · F faces
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, Integer
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SMALL_TRIANGLES = 2
"""Most triangles of a small chart."""

FLAT_AREA = 1e-12
"""Twice the area, as a share of the texture, up to which a triangle counts as without any: below it the rounding of
coordinates decides where its tangents point."""


@dataclass(frozen=True)
class ChartFigures:
    """Number of charts, share in [0, 1] of those of one or two triangles, and number of triangles without area."""

    num_charts: int
    small_share: float
    num_flat: int

    def shattered(self, max_charts: int, max_small_share: float) -> bool:
        """True where there are more charts, or a larger share of small ones, than allowed."""
        return self.num_charts > max_charts or self.small_share > max_small_share

    @property
    def cost(self) -> float:
        """Charts with small ones counted twice, as an order among atlases of one surface; flat triangles come first."""
        return self.num_charts * (1.0 + self.small_share) + 1e6 * self.num_flat


def chart_figures(uvs: Float32[np.ndarray, "N 2"], faces: Integer[np.ndarray, "F 3"]) -> ChartFigures:
    """Figures of an atlas whose vertices are split along the seams."""
    triangles = np.bincount(chart_of_face(faces, len(uvs)))
    return ChartFigures(
        num_charts=len(triangles),
        small_share=float((triangles <= SMALL_TRIANGLES).mean()),
        num_flat=int((doubled_areas(uvs, faces) <= FLAT_AREA).sum()),
    )


def chart_of_face(faces: Integer[np.ndarray, "F 3"], num_vertices: int) -> Int64[np.ndarray, " F"]:
    """Number of the chart of each face, from 0: charts are what hangs together over shared vertices."""
    sides = np.concatenate((faces[:, :2], faces[:, 1:])).astype(np.int64)
    linked = coo_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(num_vertices, num_vertices))
    part = connected_components(linked, directed=False)[1]
    return np.unique(part[faces[:, 0]], return_inverse=True)[1].reshape(-1).astype(np.int64)


def doubled_areas(uvs: Float32[np.ndarray, "N 2"], faces: Integer[np.ndarray, "F 3"]) -> Float64[np.ndarray, " F"]:
    """Twice the area of each triangle, in the unit of `uvs` squared."""
    areas: np.ndarray = np.abs(signed_doubled_areas(uvs.astype(np.float64)[faces]))
    return areas


def signed_doubled_areas(corners: Float64[np.ndarray, "F 3 2"]) -> Float64[np.ndarray, " F"]:
    """Twice the area of each triangle, negative where it is mirrored."""
    (x1, y1), (x2, y2) = ((corners[:, k] - corners[:, 0]).T for k in (1, 2))
    areas: np.ndarray = x1 * y2 - x2 * y1
    return areas
