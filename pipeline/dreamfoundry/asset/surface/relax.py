"""Stage 4, relaxation: the noise of marching cubes leaves the dense surface, its shape stays.

Marching cubes cuts voxels into slivers, and the noise of a field makes lumps of a few voxels. Both break the
charts of an atlas into hundreds of pieces. Only vertices move here: faces, closedness and genus stay what
they are, and so does the bounding box within a voxel or two.

Dimension key:  N vertices
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.sparse import coo_matrix, csr_matrix, diags

from dreamfoundry.records import Surface
from dreamfoundry.settings.export_profiles import SurfaceStyle

SHRINK, INFLATE = 0.5, -0.51
"""Taubin's lambda and mu. A wave whose part k (from 0 to 2) is lost in one step of averaging keeps
(1 - lambda k)(1 - mu k) = 1 + 0.01 k - 0.255 k^2 of its height per round."""

PLAIN_ROUNDS, SMOOTH_ROUNDS = 60, 600
"""Rounds of `relax` and of `smooth` for a grid of `GRID_SIDE` voxels per side."""

GRID_SIDE = 96

PULL_TO_ORIGIN, OWN_SHARE = 0.0, 0.5
"""Alpha and beta of Vollmer et al.: a pull to where a vertex began, and its own share of the correction."""


def relaxed(surface: Surface, style: SurfaceStyle, grid_side: int) -> Surface:
    """The surface of a grid with so many voxels per side, "plain" (`relax`) or "smooth" (`smooth`)."""
    if style == "smooth":
        return smooth(surface, scaled_rounds(SMOOTH_ROUNDS, grid_side))
    return relax(surface, scaled_rounds(PLAIN_ROUNDS, grid_side))


def scaled_rounds(rounds: int, grid_side: int) -> int:
    """Rounds for a grid of this side where one of `GRID_SIDE` has `rounds`: as the square of the side, at least one.

    N rounds halve waves about as long as 5 N^(1/4) edges, since k is proportional to (edge / length)^2. With N as
    side^2 that length grows as side^(1/2) in voxels, because on a finer grid the lumps of a field have more of them,
    and falls as side^(-1/2) in metres: a finer grid keeps finer shapes, and a coarse one is not worn away.
    """
    return max(1, round(rounds * (grid_side / GRID_SIDE) ** 2))


def relax(surface: Surface, rounds: int) -> Surface:
    """`surface` after so many rounds of Taubin's filter ("A signal processing approach to fair surface design",
    SIGGRAPH 1995) with uniform weights; works on a level as well as on the dense surface.

    Each round shrinks the surface and inflates it by slightly more: waves of a few edges fade, volume stays.
    """
    neighbors = _mean_of_neighbors(surface)
    places = surface.vertices.astype(np.float64)
    for _ in range(rounds):
        for step in (SHRINK, INFLATE):
            places += step * (neighbors @ places - places)
    return _moved(surface, places)


def smooth(surface: Surface, rounds: int) -> Surface:
    """`surface` after so many rounds of the HC-Laplacian (Vollmer, Mencl and Müller, "Improved Laplacian smoothing
    of noisy surface meshes", Eurographics 1999).

    Each round averages neighbours and takes back what the neighbourhood has moved as a whole. Nothing is
    inflated, so that it stays stable over rounds enough to take lumps away; thin parts lose some of their volume.
    """
    neighbors = _mean_of_neighbors(surface)
    origin = surface.vertices.astype(np.float64)
    places = origin
    for _ in range(rounds):
        averaged = neighbors @ places
        moved = averaged - (PULL_TO_ORIGIN * origin + (1.0 - PULL_TO_ORIGIN) * places)
        places = averaged - (OWN_SHARE * moved + (1.0 - OWN_SHARE) * (neighbors @ moved))
    return _moved(surface, places)


def _mean_of_neighbors(surface: Surface) -> csr_matrix:
    """The sparse matrix that takes places to the means of their neighbours' places."""
    first, second, third = surface.faces.astype(np.int64).T
    starts, ends = np.concatenate((first, second, third)), np.concatenate((second, third, first))
    size = len(surface.vertices)
    # on a closed surface every edge occurs once in each direction, so this is symmetric
    linked = coo_matrix((np.ones(len(starts)), (starts, ends)), shape=(size, size)).tocsr()
    counts = np.maximum(np.asarray(linked.sum(axis=1)).reshape(-1), 1.0)
    return (diags(1.0 / counts) @ linked).tocsr()


def _moved(surface: Surface, places: Float64[np.ndarray, "N 3"]) -> Surface:
    return Surface(vertices=places.astype(np.float32), faces=surface.faces)
