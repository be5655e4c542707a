"""Stage 5, maps no larger than what they show: flat ones are left out, smooth ones have fewer texels.

An engine keeps a map uncompressed, or nearly so, with all its mip levels. A normal map that is flat, or as smooth as
half as many texels a side would show it, costs that memory for nothing.

Dimension key:  T texels per side · H half of it · P chart texels · C channels
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from dreamfoundry.asset.maps.rasterize import sample_texture

FLAT_DEG = 1.0
"""Angle to the surface's own normal, or to the map of full size, that nobody sees."""

UPRIGHT = np.array((128, 128, 255), np.uint8)
"""The surface's own normal in a normal map: bytes have no middle."""

FLAT_SHARE = 0.95
"""Share of the chart texels within `FLAT_DEG` in a map that is left out or halved."""

OPEN_LEVEL = 252
"""Occlusion, of 255, of a place that is open to 99 %."""

OCCLUSION_STEP = 4
"""Change of the occlusion, of 255, that nobody sees."""

OPEN_SHARE = 0.99
"""Share of the chart texels that are open, or change by less, in a map that is left out or halved."""

MIN_PX = 64
"""Side at which halving ends."""

COMPARED_TEXELS = 1 << 15
"""Most chart texels that are compared, evenly chosen."""


def needed_normals(
    normal_map: UInt8[np.ndarray, "T T 3"], pixel: Int64[np.ndarray, " P"]
) -> UInt8[np.ndarray, "t t 3"] | None:
    """`normal_map` with as few texels as show it within a degree on 95 % of the chart texels `pixel`; None if flat."""
    shown = _directions(normal_map.reshape(-1, 3)[_some(pixel)])
    if float((_angles_deg(shown, _directions(UPRIGHT[None])) <= FLAT_DEG).mean()) >= FLAT_SHARE:
        return None

    def is_alike(picture: UInt8[np.ndarray, "H H 3"], uvs: np.ndarray) -> bool:
        angles = _angles_deg(_directions(255.0 * sample_texture(picture, uvs)), shown)
        return float((angles <= FLAT_DEG).mean()) >= FLAT_SHARE

    return _smallest(normal_map, pixel, _halved_normals, is_alike)


def needed_occlusion(
    occlusion: UInt8[np.ndarray, "T T 1"], pixel: Int64[np.ndarray, " P"]
) -> UInt8[np.ndarray, "t t 1"] | None:
    """`occlusion` with at most half the side and as few texels as show it; None if everything is open."""
    shown = occlusion.reshape(-1, 1)[_some(pixel)].astype(np.float32)
    if float((shown >= OPEN_LEVEL).mean()) >= OPEN_SHARE:
        return None

    def is_alike(picture: UInt8[np.ndarray, "H H 1"], uvs: np.ndarray) -> bool:
        change = np.abs(255.0 * sample_texture(picture, uvs) - shown)
        return len(picture) == len(occlusion) // 2 or float((change <= OCCLUSION_STEP).mean()) >= OPEN_SHARE

    return _smallest(occlusion, pixel, _halved, is_alike)


def _smallest(
    picture: UInt8[np.ndarray, "T T C"],
    pixel: Int64[np.ndarray, " P"],
    halved: Callable[[UInt8[np.ndarray, "T T C"]], UInt8[np.ndarray, "H H C"]],
    is_alike: Callable[[UInt8[np.ndarray, "H H C"], np.ndarray], bool],
) -> UInt8[np.ndarray, "t t C"]:
    """The last of `picture` and its halves that is like it at the texels `pixel`, seen through bilinear filtering."""
    row, column = np.divmod(_some(pixel), len(picture))
    uvs = (np.stack((column, row), axis=1) + 0.5) / len(picture)
    while len(picture) > MIN_PX:
        half = halved(picture)
        if not is_alike(half, uvs):
            break
        picture = half
    return picture


def _some(pixel: Int64[np.ndarray, " P"]) -> Int64[np.ndarray, " p"]:
    return pixel[:: -(-len(pixel) // COMPARED_TEXELS)]


def _halved(picture: UInt8[np.ndarray, "T T C"]) -> UInt8[np.ndarray, "H H C"]:
    """Means over blocks of 2 x 2 texels."""
    return _block_means(picture.astype(np.float32)).round().astype(np.uint8)


def _halved_normals(picture: UInt8[np.ndarray, "T T 3"]) -> UInt8[np.ndarray, "H H 3"]:
    """Mean directions over blocks of 2 x 2 texels."""
    mean = _block_means(_directions(picture))
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
    return ((mean * 0.5 + 0.5) * 255.0).round().astype(np.uint8)


def _block_means(picture: Float32[np.ndarray, "T T C"]) -> Float32[np.ndarray, "H H C"]:
    half = len(picture) // 2
    means: np.ndarray = picture.reshape(half, 2, half, 2, -1).mean(axis=(1, 3))
    return means


def _directions(encoded: np.ndarray) -> np.ndarray:
    """Unit vectors from the bytes of a normal map."""
    vectors = encoded.astype(np.float32) / np.float32(127.5) - np.float32(1.0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-12))
    return vectors


def _angles_deg(one: Float32[np.ndarray, "P 3"], other: Float32[np.ndarray, "*P 3"]) -> Float32[np.ndarray, " P"]:
    angles: np.ndarray = np.rad2deg(2.0 * np.arcsin(np.minimum(0.5 * np.linalg.norm(one - other, axis=1), 1.0)))
    return angles
