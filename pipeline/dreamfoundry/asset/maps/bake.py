"""Stage 5, baking: normals and ambient occlusion of the dense surface as maps of a level.

Each texel looks from its place on the level for the dense surface, outwards and inwards along the
normal of the level, and takes the nearer one that is turned the same way. So it finds its own
surface whether decimation has moved it in or out, and never that of a neighbouring part, which a
cage of one width would (Cohen, Olano and Manocha, "Appearance-Preserving Simplification",
SIGGRAPH 1998).

Ambient occlusion is measured once, at the vertices of the dense surface, and smoothed along it:
that costs the same for any number of levels and texels, and has no grain.

Rays are Embree's, on one thread, with fixed directions: the same input gives the same bytes.

Dimension key:  N vertices · F faces · M vertices of a level · G its faces · P texels · K points · R rays of a vertex
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float32, Float64, Int64, UInt8, UInt32
from scipy.sparse import coo_matrix
from scipy.spatial import cKDTree

from dreamfoundry.asset.maps.rasterize import Fragments
from dreamfoundry.asset.maps.tangents import vertex_normals
from dreamfoundry.asset.surface.triangles import area_normals
from dreamfoundry.records import Surface

RAYS_PER_VERTEX = 128
VERTICES_PER_CHUNK = 4096
TEXELS_PER_CHUNK = 1 << 18
"""These two bound the memory of one call to about 100 MB."""

SMOOTHING_ROUNDS = 2
"""Rounds in which the ambient visibility of a vertex is averaged with that of its neighbours."""

REACH_SHARE = 0.05
"""How far, of the diagonal of the dense surface, a texel looks for it."""

MARGIN_SHARE = 1e-4
"""How far, of the diagonal, rays begin on the other side of the place that they start from."""

GOLDEN_RATIO = 0.5 * (1.0 + 5.0**0.5)


@dataclass(frozen=True)
class DenseSurface:
    """The surface of a field before decimation, ready for rays.

    `ambient_visibility` is the cosine-weighted unblocked share of the hemisphere of each vertex, in [0, 1]:
    glTF's occlusion map. Lengths are scene units.
    """

    surface: Surface
    normals: Float32[np.ndarray, "N 3"]
    ambient_visibility: Float32[np.ndarray, " N"]
    rays: _Rays = field(repr=False)

    @staticmethod
    def of(surface: Surface, smoothing_rounds: int = SMOOTHING_ROUNDS) -> DenseSurface:
        normals, rays = vertex_normals(surface), _Rays(surface)
        ambient_visibility = _smoothed(_ambient_visibility(surface, normals, rays), surface.faces, smoothing_rounds)
        return DenseSurface(surface, normals, ambient_visibility.astype(np.float32), rays)


@dataclass(frozen=True)
class BakedTexels:
    """Normals and occlusion of the dense surface at the texels of a level.

    `normal_map` is in tangent space, OpenGL's way (green is up), as red, green and blue;
    `occlusion` is 255 where the sky is open. `found_share` is the share of texels that found it;
    the others show the level itself.
    """

    normal_map: UInt8[np.ndarray, "P 3"]
    occlusion: UInt8[np.ndarray, "P 1"]
    found_share: float


def bake(
    dense: DenseSurface,
    fragments: Fragments,
    vertices: Float32[np.ndarray, "M 3"],
    normals: Float32[np.ndarray, "M 3"],
    tangents: Float32[np.ndarray, "M 4"],
    faces: UInt32[np.ndarray, "G 3"],
) -> BakedTexels:
    """Normals and occlusion of `dense` at the texels `fragments` of a level with these frames."""
    normal_map, occlusion, found = [], [], []
    for start in range(0, len(fragments.pixel), TEXELS_PER_CHUNK):
        chunk = slice(start, start + TEXELS_PER_CHUNK)
        part = Fragments(fragments.pixel[chunk], fragments.face[chunk], fragments.weights[chunk])
        places, normal = part.interpolate(vertices, faces), part.interpolate(normals, faces)
        seen_normal, ambient_visibility, is_found = _seen(dense, places, normal)
        local = to_tangent_space(seen_normal, normal, part.interpolate(tangents, faces))
        local[~is_found | (local[:, 2] <= 0.0)] = (0.0, 0.0, 1.0)
        normal_map.append(((local * 0.5 + 0.5) * 255.0).round().astype(np.uint8))
        occlusion.append((ambient_visibility[:, None] * 255.0).round().astype(np.uint8))
        found.append(is_found)
    return BakedTexels(np.concatenate(normal_map), np.concatenate(occlusion), float(np.concatenate(found).mean()))


def to_tangent_space(
    directions: Float64[np.ndarray, "P 3"], normals: Float64[np.ndarray, "P 3"], tangents: Float64[np.ndarray, "P 4"]
) -> Float64[np.ndarray, "P 3"]:
    """The unit vectors x, y, z for which x tangent + y bitangent + z normal points along `directions`.

    Normals and tangents are interpolated between vertices and, as in MikkTSpace, neither
    normalised nor made perpendicular again.
    """
    tangent = tangents[:, :3]
    bitangent = np.cross(normals, tangent) * np.sign(tangents[:, 3:])
    local = np.stack(
        [
            (np.cross(second, third) * directions).sum(axis=1)
            for second, third in ((bitangent, normals), (normals, tangent), (tangent, bitangent))
        ],
        axis=1,
    )
    local *= np.sign((np.cross(bitangent, normals) * tangent).sum(axis=1, keepdims=True))
    unit: np.ndarray = local / np.maximum(np.linalg.norm(local, axis=1, keepdims=True), 1e-30)
    return unit


class _Rays:
    """Embree's view of a closed surface."""

    def __init__(self, surface: Surface) -> None:
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, surface.vertices, surface.faces.astype(np.int32))
        corners = surface.vertices.astype(np.float64)[surface.faces]
        self._face_normals = area_normals(corners)
        self.diagonal = float(np.linalg.norm(np.ptp(surface.vertices.astype(np.float64), axis=0)))

    def is_blocked(self, origins: np.ndarray, directions: np.ndarray) -> Bool[np.ndarray, " K"]:
        """True for each direction that meets a face."""
        hits = self._scene.run(origins.astype(np.float32), directions.astype(np.float32), query="OCCLUDED")
        return np.asarray(hits >= 0)

    def first_hits(
        self, origins: np.ndarray, directions: np.ndarray, outwards: np.ndarray
    ) -> tuple[Float64[np.ndarray, " K"], Int64[np.ndarray, " K"], Float64[np.ndarray, "K 3"]]:
        """Distance to the first face in each direction, the face, and the weights of its corners.

        The distance is infinite where there is none, or where it is turned against `outwards`.
        """
        hits: dict[str, Any] = self._scene.run(origins.astype(np.float32), directions.astype(np.float32), output=True)
        face = np.maximum(hits["primID"], 0).astype(np.int64)
        valid = (hits["primID"] >= 0) & ((self._face_normals[face] * outwards).sum(axis=1) > 0.0)
        second, third = hits["u"].astype(np.float64), hits["v"].astype(np.float64)
        distance = np.where(valid, hits["tfar"].astype(np.float64), np.inf)
        return distance, face, np.stack((1.0 - second - third, second, third), axis=1)


def _seen(
    dense: DenseSurface, places: Float64[np.ndarray, "P 3"], normals: Float64[np.ndarray, "P 3"]
) -> tuple[Float64[np.ndarray, "P 3"], Float64[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
    """Normal and ambient visibility of the dense surface at each place, and whether it was found there."""
    unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    margin = MARGIN_SHARE * dense.rays.diagonal
    distance_out, face_out, weights_out = dense.rays.first_hits(places - margin * unit, unit, unit)
    distance_in, face_in, weights_in = dense.rays.first_hits(places + margin * unit, -unit, unit)
    is_out = distance_out < distance_in
    face = np.where(is_out, face_out, face_in)
    weights = np.where(is_out[:, None], weights_out, weights_in)
    corners = dense.surface.faces[face]
    seen_normals = np.einsum("pk,pkc->pc", weights, dense.normals[corners].astype(np.float64))
    ambient_visibility = np.einsum("pk,pk->p", weights, dense.ambient_visibility[corners].astype(np.float64)).clip(
        0.0, 1.0
    )
    found = np.minimum(distance_out, distance_in) <= REACH_SHARE * dense.rays.diagonal
    if not found.all():
        nearest = cKDTree(dense.surface.vertices).query(places[~found])[1]
        ambient_visibility[~found] = dense.ambient_visibility[nearest]
    return seen_normals, ambient_visibility, found


def _ambient_visibility(
    surface: Surface, normals: Float32[np.ndarray, "N 3"], rays: _Rays
) -> Float64[np.ndarray, " N"]:
    """The cosine-weighted share of directions in which each vertex meets nothing."""
    open_share = np.empty(len(normals))
    origins = surface.vertices + MARGIN_SHARE * 10.0 * rays.diagonal * normals
    for start in range(0, len(normals), VERTICES_PER_CHUNK):
        chunk = slice(start, start + VERTICES_PER_CHUNK)
        directions = _hemisphere_directions(normals[chunk].astype(np.float64), start)
        starts = np.repeat(origins[chunk], RAYS_PER_VERTEX, axis=0)
        blocked = rays.is_blocked(starts, directions.reshape(-1, 3))
        open_share[chunk] = 1.0 - blocked.reshape(-1, RAYS_PER_VERTEX).mean(axis=1)
    return open_share


def _hemisphere_directions(normals: Float64[np.ndarray, "N 3"], first: int) -> Float64[np.ndarray, "N R 3"]:
    """Directions above each vertex, more of them where the cosine is larger (Malley's method).

    They are the points of Hammersley's set, lifted from the disc to the hemisphere; the set is
    turned by the golden angle from vertex to vertex, so that neighbours fill each other's gaps.
    """
    index = np.arange(RAYS_PER_VERTEX)
    bits = (index[:, None] >> np.arange(16)) & 1
    radical_inverse = (bits * 0.5 ** np.arange(1, 17)).sum(axis=1)
    height = np.sqrt(1.0 - (index + 0.5) / RAYS_PER_VERTEX)
    turn = (np.arange(first, first + len(normals)) / GOLDEN_RATIO) % 1.0
    angle = 2.0 * np.pi * (radical_inverse + turn[:, None])
    across = np.sqrt(1.0 - height**2)
    axis = np.eye(3)[np.abs(normals).argmin(axis=1)]
    right = np.cross(axis, normals)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    up = np.cross(normals, right)
    directions: np.ndarray = (
        (across * np.cos(angle))[..., None] * right[:, None]
        + (across * np.sin(angle))[..., None] * up[:, None]
        + height[:, None] * normals[:, None]
    )
    return directions


def _smoothed(
    values: Float64[np.ndarray, " N"], faces: UInt32[np.ndarray, "F 3"], num_rounds: int
) -> Float64[np.ndarray, " N"]:
    """`values` averaged with those of the neighbours along the edges, several times."""
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]])).astype(np.int64)
    size = len(values)
    around = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size)).tocsr()
    around = around + around.T
    count = np.asarray(around.sum(axis=1)).reshape(-1)
    for _ in range(num_rounds):
        mean = around @ values / np.maximum(count, 1.0)
        values = np.where(count > 0.0, 0.5 * (values + mean), values)
    return values
