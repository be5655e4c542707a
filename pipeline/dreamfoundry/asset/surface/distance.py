"""Distance between two surfaces: the loss of a level against the surface it was decimated from.

Points spread evenly over either surface look for the nearest point of the other, as in Metro
(Cignoni, Rocchini and Scopigno, Computer Graphics Forum 1998). The nearest point is exact on the
triangles around the nearest samples of the other surface; were it on another triangle, the
distance would come out a little too large, never too small.

Dimension key:  N points · F faces · S samples of a surface
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

from dreamfoundry.asset.surface.triangles import area_normals
from dreamfoundry.records import Surface

NUM_POINTS = 10_000
"""Points that look from each surface for the other."""

SAMPLES_PER_POINT = 4
"""Samples of each surface per point that looks for it; with the centres of its triangles, they point to those worth
trying."""

NUM_CANDIDATES = 16

PLASTIC = 1.32471795724474602596
"""Its powers spread points evenly over a square (Roberts, "The Unreasonable Effectiveness of Quasirandom
Sequences", 2018)."""


@dataclass(frozen=True)
class SurfaceError:
    """Distances between two surfaces as shares of the diagonal of the second one."""

    mean: float
    max: float


@dataclass(frozen=True)
class DistanceMeter:
    """Measures levels against one dense surface, which is prepared once."""

    num_points: int
    diagonal: float
    dense: _Places
    seen_from_dense: Float64[np.ndarray, "N 3"]

    @staticmethod
    def of(dense: Surface, num_points: int = NUM_POINTS) -> DistanceMeter:
        """A meter that looks from `num_points` points of either surface for the other."""
        diagonal = float(np.linalg.norm(np.ptp(dense.vertices.astype(np.float64), axis=0)))
        places = _Places.of(dense, SAMPLES_PER_POINT * num_points)
        return DistanceMeter(num_points, diagonal, places, spread(dense, num_points)[0])

    def error(self, level: Surface) -> SurfaceError:
        """Distances from `level` to the dense surface and back: their mean, and the largest that was met."""
        there = self.dense.distances(spread(level, self.num_points)[0])
        back = _Places.of(level, SAMPLES_PER_POINT * self.num_points).distances(self.seen_from_dense)
        return SurfaceError(
            mean=float(0.5 * (there.mean() + back.mean())) / self.diagonal,
            max=float(max(there.max(), back.max())) / self.diagonal,
        )


def surface_error(level: Surface, dense: Surface) -> SurfaceError:
    """Distances from `level` to `dense` and back, as shares of the diagonal of `dense`."""
    return DistanceMeter.of(dense).error(level)


@dataclass(frozen=True)
class _Places:
    """Samples of a surface and the face that each lies on, ready for searches."""

    corners: Float64[np.ndarray, "F 3 3"]
    faces: Int64[np.ndarray, " S"]
    tree: cKDTree

    @staticmethod
    def of(surface: Surface, num_samples: int) -> _Places:
        samples, faces = spread(surface, num_samples)
        corners = surface.vertices.astype(np.float64)[surface.faces]
        tree = cKDTree(np.concatenate((samples, corners.mean(axis=1))))
        return _Places(corners, np.concatenate((faces, np.arange(len(corners)))), tree)

    def distances(self, points: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, " N"]:
        """Distance of each point to the nearest of the triangles around the nearest samples."""
        candidates = self.faces[self.tree.query(points, k=NUM_CANDIDATES)[1]]
        near = [_to_triangles(points, self.corners[candidates[:, k]]) for k in range(NUM_CANDIDATES)]
        distances: np.ndarray = np.min(near, axis=0)
        return distances


def spread(surface: Surface, num_points: int) -> tuple[Float64[np.ndarray, "N 3"], Int64[np.ndarray, " N"]]:
    """Points spread evenly over a surface, always the same ones, and the face that each lies on."""
    corners = surface.vertices.astype(np.float64)[surface.faces]
    areas = np.linalg.norm(area_normals(corners), axis=1)
    upto = np.cumsum(areas)
    faces = np.searchsorted(upto, (np.arange(num_points) + 0.5) / num_points * upto[-1]).clip(0, len(areas) - 1)
    number = np.arange(1, num_points + 1)
    first, second = (number / PLASTIC) % 1.0, (number / PLASTIC**2) % 1.0
    outside = first + second > 1.0
    first, second = np.where(outside, 1.0 - first, first), np.where(outside, 1.0 - second, second)
    weights = np.stack((1.0 - first - second, first, second), axis=1)
    return np.einsum("nk,nkc->nc", weights, corners[faces]), faces


def _to_triangles(
    points: Float64[np.ndarray, "N 3"], corners: Float64[np.ndarray, "N 3 3"]
) -> Float64[np.ndarray, " N"]:
    """Distance of each point to its triangle: to the plane where it stands above it, else to a side."""
    normals = area_normals(corners)
    length = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(length, 1e-30)[:, None]
    above = length > 0.0
    nearest_side = np.full(len(points), np.inf)
    for k in range(3):
        start, side = corners[:, k], corners[:, (k + 1) % 3] - corners[:, k]
        away = points - start
        above &= (np.cross(side, away) * normals).sum(axis=1) >= 0.0
        share = ((away * side).sum(axis=1) / np.maximum((side * side).sum(axis=1), 1e-30)).clip(0.0, 1.0)
        nearest_side = np.minimum(nearest_side, np.linalg.norm(away - share[:, None] * side, axis=1))
    height = np.abs(((points - corners[:, 0]) * normals).sum(axis=1))
    distances: np.ndarray = np.where(above, height, nearest_side)
    return distances
