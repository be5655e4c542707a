"""Stage 4, topology: tunnels as narrow as a voxel are noise, and are filled before the surface is extracted.

A hole through a handle or between legs is several voxels wide. What a closing by one voxel fills, and what
makes a handle less, is a leak in a wall that the pictures show as closed; decimation would fill some of its
levels and leave others open.

Dimension key:  S grid vertices per side
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import find_objects, generate_binary_structure, grey_closing, label
from skimage.measure import euler_number

ONE_VOXEL = generate_binary_structure(3, 1)
"""A voxel and its six neighbours: closing with it fills what is one voxel wide, two at most."""

TOUCHING = generate_binary_structure(3, 3)

MAX_PARTS = 10_000
"""Parts that are looked at, about two seconds; pure noise has more, and is no better with a few tunnels less."""


def without_tunnels(opacity: Float32[np.ndarray, "S S S"], level: float) -> Float32[np.ndarray, "S S S"]:
    """`opacity` with the tunnels of {opacity >= level} filled that are about a voxel wide.

    Values come from grey-scale closing, which at any level is the closing of the set of that level, so the
    surface stays as smooth as the field. A connected part of what the closing adds is taken only where it
    raises Euler's characteristic: crevices and the holes of handles stay.
    """
    closed = grey_closing(opacity, footprint=ONE_VOXEL)
    inside = opacity >= level
    parts, num_parts = label((closed >= level) & ~inside, TOUCHING)

    filled = opacity.copy()
    if num_parts > MAX_PARTS:
        return filled
    for number, box in enumerate(find_objects(parts), start=1):
        around = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        part, before = parts[around] == number, inside[around]
        # the characteristic is a sum over cells, so its change shows in the box around the part
        if euler_number(before | part, connectivity=1) > euler_number(before, connectivity=1):
            filled[around][part] = closed[around][part]
    return filled
