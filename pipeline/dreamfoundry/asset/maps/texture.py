"""Stage 5, the maps of a level: base colour from the field, normals and occlusion from its dense surface.

Triangles are filled once for all maps of a level. Every texel of a chart samples the albedo grid at its
place on the surface; a texel outside of all charts repeats the nearest one inside, so that no filter or
mip level ever blends in a background. A level without charts has the same colours at its vertices.

Dimension key:  R voxels per side · P points, or texels of charts · T texels per side · C channels
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, UInt8
from scipy.ndimage import binary_erosion, distance_transform_edt, map_coordinates

from dreamfoundry.asset.maps.bake import DenseSurface, bake
from dreamfoundry.asset.maps.rasterize import Fragments, rasterize
from dreamfoundry.asset.maps.srgb import linear_from_srgb
from dreamfoundry.asset.maps.tangents import vertex_normals, vertex_tangents
from dreamfoundry.asset.maps.unwrap import Atlas
from dreamfoundry.errors import EmptyField, SurfaceFailed
from dreamfoundry.records import ColoredMesh, DetailMaps, FieldSnapshot, Surface, TexturedMesh


@dataclass(frozen=True)
class Texels:
    """The chart texels of a square texture, and the number of the one that each texel repeats."""

    fragments: Fragments
    source: Int64[np.ndarray, "T T"]

    def texture(self, values: UInt8[np.ndarray, "P C"]) -> UInt8[np.ndarray, "T T C"]:
        """The whole texture from the values of its chart texels."""
        whole: np.ndarray = values[self.source]
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


def surface_colors(snapshot: FieldSnapshot, isovalue: float) -> UInt8[np.ndarray, "R R R 3"]:
    """The albedo grid with each vertex given the colour of the nearest vertex just inside the surface.

    Only there did the pictures teach the field a colour. Decimation moves a level off the
    surface by a few voxels, to either side, and it must still find that colour. Raises
    EmptyField when nothing is inside.
    """
    inside = snapshot.density.astype(np.float32) >= isovalue
    skin = inside & ~binary_erosion(inside)
    if not skin.any():
        raise EmptyField(f"isovalue = {isovalue:.4g}: no grid vertex lies inside the surface")
    nearest = distance_transform_edt(~skin, return_distances=False, return_indices=True)
    colors: np.ndarray = snapshot.albedo[tuple(nearest)]
    return colors


def textured(
    surface: Surface,
    atlas: Atlas,
    colors: UInt8[np.ndarray, "R R R 3"],
    bound: float,
    texture_px: int,
    dense: DenseSurface | None = None,
) -> TexturedMesh:
    """`surface` split along the seams of `atlas`, with its maps, in scene units.

    `colors` is the grid of `surface_colors` over [-bound, bound]^3. Normals and occlusion are those
    of `dense`; without it there is only base colour. Raises SurfaceFailed when no texel is covered.
    """
    vertices, faces = surface.vertices[atlas.source], atlas.faces
    normals = vertex_normals(surface)[atlas.source]
    texels = chart_texels(atlas, texture_px)
    base_color = texels.texture(sample_grid(colors, texels.fragments.interpolate(vertices, faces), bound))
    detail = None
    if dense is not None:
        tangents = vertex_tangents(vertices, normals, atlas.uvs, faces)
        baked = bake(dense, texels.fragments, vertices, normals, tangents, faces)
        maps = texels.texture(baked.normal_map), texels.texture(baked.occlusion)
        detail = DetailMaps(tangents, *maps, baked.found_share)
    return TexturedMesh(vertices, normals, atlas.uvs, faces, base_color, detail)


def colored(surface: Surface, colors: UInt8[np.ndarray, "R R R 3"], bound: float) -> ColoredMesh:
    """`surface` with the colours of the grid `colors` over [-bound, bound]^3 at its vertices, in scene units."""
    srgb = sample_grid(colors, surface.vertices, bound) / 255.0
    return ColoredMesh(
        surface.vertices, vertex_normals(surface), surface.faces, linear_from_srgb(srgb).astype(np.float32)
    )


def sample_grid(
    colors: UInt8[np.ndarray, "R R R 3"], points: Float[np.ndarray, "P 3"], bound: float
) -> UInt8[np.ndarray, "P 3"]:
    """Trilinear interpolation of a colour grid over [-bound, bound]^3; outside, its border."""
    indices = ((points.T + bound) * ((colors.shape[0] - 1) / (2.0 * bound))).astype(np.float32)
    channels = [
        map_coordinates(colors[..., channel], indices, output=np.float32, order=1, mode="nearest")
        for channel in range(3)
    ]
    return np.stack(channels, axis=1).round().astype(np.uint8)
