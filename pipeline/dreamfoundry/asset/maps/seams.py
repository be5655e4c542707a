"""Stage 5, seams from afar: texels between charts are such that mip levels agree on both sides of a seam.

A texel of a mip level is the mean of a block, and a block at the edge of a chart is partly filled by what lies beside
it. Around the charts of a small texture there is less room than the widest blocks take. So the texels there, which
nobody sees for themselves, are chosen: by least squares, those closest to what they were with which points on both
sides of a seam show the same colour on the first mip levels. Texels of charts, and those that touch them, stay. (Liu
et al., "Seamless: Seam Erasure and Seam-Aware Decoupling of Shape from Mesh Resolution", SIGGRAPH Asia 2017, do so for
the texels of charts.)

Dimension key:  T texels per side · t texels per side of a mip level · S pairs of points on the two sides of a seam
                U texels that may change
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from scipy.ndimage import binary_dilation
from scipy.sparse import coo_matrix, csr_matrix, vstack
from scipy.sparse.linalg import lsmr

from dreamfoundry.asset.maps.unwrap import Atlas
from dreamfoundry.asset.surface.triangles import twin_sides

LARGEST_PX = 512
"""Side of the largest texture whose charts have less room around them than the blocks of `MIPS` take."""

MIPS = (1, 2, 3)

STIFFNESS = 0.01
"""Weight of a texel's change beside a difference across a seam, both squared."""

ROUNDS = 20
"""Iterations of the solver; more change nothing that is seen."""

PLACES = (0.0, 0.5)
"""Places along an edge, as shares of its length, at which its two sides are compared."""


def agreeing(
    picture: UInt8[np.ndarray, "T T 3"], atlas: Atlas, is_chart: Bool[np.ndarray, "T T"]
) -> UInt8[np.ndarray, "T T 3"]:
    """`picture` with other texels away from charts, so that seams of `atlas` show as little as may be on mip levels."""
    if len(picture) > LARGEST_PX:
        return picture
    one, other = seam_points(atlas)
    free = np.flatnonzero(~binary_dilation(is_chart, np.ones((3, 3), np.bool_)))
    if not len(one) or not len(free):
        return picture

    colors = picture.astype(np.float64)
    reach: list[csr_matrix] = []
    jumps: list[np.ndarray] = []
    for mip in MIPS:
        block, side = 1 << mip, len(picture) >> mip
        compared = _bilinear(one, side) - _bilinear(other, side)
        reach.append(compared @ _means(free, len(picture), block))
        means = colors.reshape(side, block, side, block, 3).mean(axis=(1, 3))
        jumps.append(compared @ means.reshape(-1, 3))

    across, jump = vstack(reach).tocsr(), np.concatenate(jumps)
    changed = colors.reshape(-1, 3)
    for channel in range(3):
        changed[free, channel] -= lsmr(across, jump[:, channel], damp=STIFFNESS**0.5, maxiter=ROUNDS)[0]
    return changed.clip(0.0, 255.0).round().astype(np.uint8).reshape(picture.shape)


def seam_points(atlas: Atlas) -> tuple[Float64[np.ndarray, "S 2"], Float64[np.ndarray, "S 2"]]:
    """Texture coordinates of points along all seams, in the two charts that meet there."""
    start, end = atlas.faces.reshape(-1).astype(np.int64), np.roll(atlas.faces, -1, axis=1).reshape(-1).astype(np.int64)
    twin = twin_sides(atlas.source[atlas.faces].astype(np.int64), int(atlas.source.max()) + 1)
    is_seam = (start != end[twin]) | (end != start[twin])
    side = np.flatnonzero(is_seam & (np.arange(len(start)) < twin))

    uvs = atlas.uvs.astype(np.float64)
    one = [(1.0 - place) * uvs[start[side]] + place * uvs[end[side]] for place in PLACES]
    other = [(1.0 - place) * uvs[end[twin[side]]] + place * uvs[start[twin[side]]] for place in PLACES]
    return np.concatenate(one), np.concatenate(other)


def _bilinear(uvs: Float64[np.ndarray, "S 2"], side: int) -> csr_matrix:
    """The matrix that takes the texels of a picture to its colours at `uvs`, as `rasterize.sample_texture` reads it."""
    column, row = (np.clip(uvs[:, axis] * side - 0.5, 0.0, side - 1.0) for axis in range(2))
    left, top = column.astype(np.int64), row.astype(np.int64)
    right, bottom = np.minimum(left + 1, side - 1), np.minimum(top + 1, side - 1)
    across, down = column - left, row - top
    texels = np.concatenate((top * side + left, top * side + right, bottom * side + left, bottom * side + right))
    weights = np.concatenate(
        ((1.0 - down) * (1.0 - across), (1.0 - down) * across, down * (1.0 - across), down * across)
    )
    return coo_matrix((weights, (np.tile(np.arange(len(uvs)), 4), texels)), shape=(len(uvs), side * side)).tocsr()


def _means(free: Int64[np.ndarray, " U"], side: int, block: int) -> csr_matrix:
    """The matrix that takes the texels `free` to their part of the means over blocks."""
    row, column = np.divmod(free, side)
    place = row // block * (side // block) + column // block
    weights = np.full(len(free), 1.0 / block**2)
    return coo_matrix((weights, (place, np.arange(len(free)))), shape=((side // block) ** 2, len(free))).tocsr()
