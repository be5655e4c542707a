"""Stage 5, base colour: the albedo of the field baked into the texture of a level.

Every texel of a chart asks the albedo grid at its place on the surface; every other texel takes
the colour of the nearest chart texel, so that no filter or mip level ever blends in a background.

Dimension key:  R voxels per side · N vertices · F faces · M split vertices · T texels per side · P points
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy.ndimage import binary_erosion, distance_transform_edt, map_coordinates

from dreamfoundry.errors import EmptyField, SurfaceFailed
from dreamfoundry.raster import rasterize
from dreamfoundry.records import FieldSnapshot, Surface, TexturedMesh
from dreamfoundry.unwrap import Atlas


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
    surface: Surface, atlas: Atlas, colors: UInt8[np.ndarray, "R R R 3"], bound: float, texture_px: int
) -> TexturedMesh:
    """`surface` split along the seams of `atlas`, with normals and baked base colour, in scene units.

    `colors` is the grid of `surface_colors` over [-bound, bound]^3. Raises SurfaceFailed when no
    texel is covered.
    """
    vertices = surface.vertices[atlas.source]
    return TexturedMesh(
        vertices=vertices,
        normals=vertex_normals(surface)[atlas.source],
        uvs=atlas.uvs,
        faces=atlas.faces,
        base_color=_bake(vertices, atlas, colors, bound, texture_px),
    )


def vertex_normals(surface: Surface) -> Float32[np.ndarray, "N 3"]:
    """Unit normals at the vertices: the area-weighted mean of the faces around (Gouraud, 1971).

    Where these cancel, a face of the vertex decides; without any, up.
    """
    corners = surface.vertices.astype(np.float64)[surface.faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.zeros((len(surface.vertices), 3))
    for k in range(3):
        np.add.at(summed, surface.faces[:, k], face_normals)
    length = np.linalg.norm(summed, axis=1)
    lost = length <= 1e-6 * np.median(np.linalg.norm(face_normals, axis=1))
    if lost.any():
        single = np.tile((0.0, 1.0, 0.0), (len(summed), 1))
        solid = np.flatnonzero((face_normals != 0.0).any(axis=1))
        for k in range(3):
            single[surface.faces[solid, k]] = face_normals[solid]
        summed[lost] = single[lost]
        length = np.linalg.norm(summed, axis=1)
    normals: np.ndarray = (summed / length[:, None]).astype(np.float32)
    return normals


def _bake(
    vertices: Float32[np.ndarray, "M 3"],
    atlas: Atlas,
    colors: UInt8[np.ndarray, "R R R 3"],
    bound: float,
    texture_px: int,
) -> UInt8[np.ndarray, "T T 3"]:
    on_texture = np.column_stack((atlas.uvs.astype(np.float64) * texture_px, np.ones(len(atlas.uvs))))
    texels = rasterize(on_texture, atlas.faces, texture_px)
    if len(texels.pixel) == 0:
        raise SurfaceFailed(f"texture_px = {texture_px}: the charts cover no texel")
    covered = np.zeros(texture_px * texture_px, dtype=np.bool_)
    covered[texels.pixel] = True
    texture = np.zeros((texture_px * texture_px, 3), dtype=np.uint8)
    texture[texels.pixel] = sample_grid(colors, texels.interpolate(vertices, atlas.faces), bound)
    nearest = distance_transform_edt(
        ~covered.reshape(texture_px, texture_px), return_distances=False, return_indices=True
    )
    padded: np.ndarray = texture.reshape(texture_px, texture_px, 3)[tuple(nearest)]
    return padded


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
