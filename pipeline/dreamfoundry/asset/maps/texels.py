"""Stage 5, the texels of a level: which point of the surface each one shows.

Triangles are filled once for all maps of a level. A texel outside of all charts repeats the
nearest texel of a chart, so that no filter or mip level ever blends in a background.

Dimension key:  T texels per side · P texels of charts · C channels
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8
from scipy.ndimage import distance_transform_edt

from dreamfoundry.asset.maps.rasterize import Fragments, rasterize
from dreamfoundry.asset.maps.unwrap import Atlas
from dreamfoundry.errors import SurfaceFailed


@dataclass(frozen=True)
class Texels:
    """The chart texels of a square texture, and which of them each texel of the texture shows."""

    fragments: Fragments
    shown: Int64[np.ndarray, "T T"]

    def texture(self, values: UInt8[np.ndarray, "P C"]) -> UInt8[np.ndarray, "T T C"]:
        """The whole texture from the values of its chart texels."""
        whole: np.ndarray = values[self.shown]
        return whole


def chart_texels(atlas: Atlas, texture_px: int) -> Texels:
    """The texels of `atlas` in a texture of this side. Raises SurfaceFailed when no texel is covered."""
    on_texture = np.column_stack((atlas.uvs.astype(np.float64) * texture_px, np.ones(len(atlas.uvs))))
    fragments = rasterize(on_texture, atlas.faces, texture_px)
    if len(fragments.pixel) == 0:
        raise SurfaceFailed(f"texture_px = {texture_px}: the charts cover no texel")
    number = np.full((texture_px, texture_px), -1, dtype=np.int64)
    number.reshape(-1)[fragments.pixel] = np.arange(len(fragments.pixel))
    nearest = distance_transform_edt(number < 0, return_distances=False, return_indices=True)
    return Texels(fragments, number[tuple(nearest)])
