"""Stage 5, the maps of a level: base colour from the field, normals and occlusion from its dense surface.

Triangles are filled once for all maps of a level. Every texel of a chart samples the albedo grid at its
place on the surface. Around its edge a chart goes on as if it had no seam there: a texel outside samples the grid
where the nearest triangle would be, went on as a plane, which is close to what the chart on the other side of the
seam shows. So both sides agree under every filter; `asset.maps.seams` sees to mip levels whose blocks reach farther.
In the other maps, and farther out, a texel repeats the nearest one inside, so that nothing ever blends in a
background. A level without charts has the same colours at its vertices.

Dimension key:  R voxels per side · P points, or texels of charts · Q texels around charts · T texels per side
                N vertices · F faces · C channels
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8, UInt32
from scipy.ndimage import binary_erosion, distance_transform_edt, map_coordinates

from dreamfoundry.asset.maps.bake import DenseSurface, bake
from dreamfoundry.asset.maps.economy import needed_normals, needed_occlusion
from dreamfoundry.asset.maps.rasterize import Fragments, rasterize
from dreamfoundry.asset.maps.seams import agreeing
from dreamfoundry.asset.maps.srgb import linear_from_srgb
from dreamfoundry.asset.maps.tangents import vertex_normals, vertex_tangents
from dreamfoundry.asset.maps.unwrap import Atlas
from dreamfoundry.errors import EmptyField, SurfaceFailed
from dreamfoundry.records import ColoredMesh, DetailMaps, FieldSnapshot, Surface, TexturedMesh

CONTINUED_PX = 16
"""How many texels a chart goes on beyond its edge; wider than any padding up to 2048 px, which charts share."""

MAX_STRETCH = 1.5
"""Largest length of a step beyond the edge, by the median length of such steps: slivers know no more."""


@dataclass(frozen=True)
class Texels:
    """The chart texels of a square texture, and the number of the one that each texel repeats.

    `beyond` are the texels around charts, with weights outside of [0, 1]: places in the planes of their triangles.
    """

    fragments: Fragments
    source: Int64[np.ndarray, "T T"]
    beyond: Fragments

    @property
    def is_chart(self) -> Bool[np.ndarray, "T T"]:
        """True for the texels of charts."""
        mask = np.zeros(self.source.shape, dtype=np.bool_)
        mask.reshape(-1)[self.fragments.pixel] = True
        return mask

    def texture(self, values: UInt8[np.ndarray, "P C"]) -> UInt8[np.ndarray, "T T C"]:
        """The whole texture from the values of its chart texels."""
        whole: np.ndarray = values[self.source]
        return whole

    def continued(
        self, inside: Float64[np.ndarray, "P 3"], vertices: Float32[np.ndarray, "N 3"], faces: UInt32[np.ndarray, "F 3"]
    ) -> Float64[np.ndarray, "Q 3"]:
        """Places of the texels `beyond`, where `inside` are those of the chart texels."""
        if not len(self.beyond.pixel):
            return np.zeros((0, 3))

        source = self.source.reshape(-1)[self.beyond.pixel]
        step = self.beyond.interpolate(vertices, faces) - inside[source]
        row, column = np.divmod(self.beyond.pixel, len(self.source))
        row_inside, column_inside = np.divmod(self.fragments.pixel[source], len(self.source))
        length = np.linalg.norm(step, axis=1) / np.hypot(row - row_inside, column - column_inside)

        # a sliver is nearly a line on the texture, and says nothing about what lies beside it
        limit = MAX_STRETCH * np.median(length)
        places: np.ndarray = inside[source] + step * np.minimum(1.0, limit / np.maximum(length, 1e-30))[:, None]
        return places


def chart_texels(atlas: Atlas, texture_px: int) -> Texels:
    """The texels of `atlas` in a texture of this side. Raises SurfaceFailed when no texel is covered."""
    on_texture = np.column_stack((atlas.uvs.astype(np.float64) * texture_px, np.ones(len(atlas.uvs))))
    fragments = rasterize(on_texture, atlas.faces, texture_px)
    if len(fragments.pixel) == 0:
        raise SurfaceFailed(f"texture_px = {texture_px}: the charts cover no texel")

    number = np.full((texture_px, texture_px), -1, dtype=np.int64)
    number.reshape(-1)[fragments.pixel] = np.arange(len(fragments.pixel))
    distance, nearest = distance_transform_edt(number < 0, return_indices=True)
    source = number[tuple(nearest)]
    around = np.flatnonzero((distance > 0.0) & (distance <= CONTINUED_PX))
    face = fragments.face[source.reshape(-1)[around]]
    weights = _weights(on_texture[atlas.faces[face], :2], np.stack(np.divmod(around, texture_px)[::-1], axis=1) + 0.5)
    return Texels(fragments, source, Fragments(around, face, weights))


def _weights(corners: Float64[np.ndarray, "P 3 2"], points: Float64[np.ndarray, "P 2"]) -> Float64[np.ndarray, "P 3"]:
    """Barycentric weights of each point in its triangle, also of points outside of it."""
    (x1, y1), (x2, y2), (x, y) = ((place - corners[:, 0]).T for place in (corners[:, 1], corners[:, 2], points))
    area = x1 * y2 - x2 * y1
    second, third = (x * y2 - x2 * y) / area, (x1 * y - x * y1) / area
    return np.stack((1.0 - second - third, second, third), axis=1)


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
    of `dense`, as far as they show anything (`asset.maps.economy`); without it there is only base colour. Raises
    SurfaceFailed when no texel is covered.
    """
    vertices, faces = surface.vertices[atlas.source], atlas.faces
    normals = vertex_normals(surface)[atlas.source]
    texels = chart_texels(atlas, texture_px)
    places = texels.fragments.interpolate(vertices, faces)
    base_color = texels.texture(sample_grid(colors, places, bound))
    continued = texels.continued(places, vertices, faces)
    base_color.reshape(-1, 3)[texels.beyond.pixel] = sample_grid(colors, continued, bound)
    base_color = agreeing(base_color, atlas, texels.is_chart)
    detail = None
    if dense is not None:
        tangents = vertex_tangents(vertices, normals, atlas.uvs, faces)
        baked = bake(dense, texels.fragments, vertices, normals, tangents, faces)
        normal_map = needed_normals(texels.texture(baked.normal_map), texels.fragments.pixel)
        occlusion = needed_occlusion(texels.texture(baked.occlusion), texels.fragments.pixel)
        detail = DetailMaps(None if normal_map is None else tangents, normal_map, occlusion, baked.found_share)
    return TexturedMesh(vertices, normals, atlas.uvs, faces, base_color, detail, atlas.lightmap_uvs, atlas.lightmap_px)


def part_of(finest: TexturedMesh, atlas: Atlas) -> TexturedMesh:
    """A coarser level with vertices, frames and maps of `finest`, whose split vertices `atlas.of_finest` it keeps."""
    kept = atlas.of_finest
    if kept is None:
        raise ValueError("an atlas of its own is no part of that of the finest level")
    detail = finest.detail
    if detail is not None and detail.tangents is not None:
        detail = replace(detail, tangents=detail.tangents[kept])
    return replace(
        finest,
        vertices=finest.vertices[kept],
        normals=finest.normals[kept],
        uvs=atlas.uvs,
        faces=atlas.faces,
        detail=detail,
        lightmap_uvs=atlas.lightmap_uvs,
        maps_of=0,
    )


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
