"""Stage 4, field to surface: one watertight manifold component at the isovalue that the pictures ask for.

The isovalue is the one whose silhouettes agree best with the opacity of the reference views. The
silhouette of a level set is the set of rays whose largest value reaches the level, so one maximum
projection of the grid judges every candidate at once. Only one component is delivered: where the level
that the pictures ask for cuts a thin neck, what is left is judged without the parts that are lost.

Dimension key:  S grid vertices per side with a border · V reference views · P rays · N vertices · F faces
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import manifold3d
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt32
from scipy.ndimage import gaussian_filter, generate_binary_structure, label, map_coordinates
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes
from skimage.morphology import reconstruction

from dreamfoundry.asset.surface.relax import relaxed
from dreamfoundry.asset.surface.silhouettes import HALF_OPAQUE, mean_iou
from dreamfoundry.asset.surface.triangles import area_normals, genus
from dreamfoundry.asset.surface.tunnels import without_tunnels
from dreamfoundry.errors import EmptyField, FullField, SurfaceFailed
from dreamfoundry.records import FieldSnapshot, Surface
from dreamfoundry.settings.export_profiles import SurfaceStyle

SEARCH_PX = 48
"""Side of the pictures in which silhouettes are compared."""

NUM_CANDIDATES = 48
SAMPLES_PER_RAY_MAX = 320

MIN_OPACITY = 1e-4
"""Where every voxel has less, no pixel can be half opaque, however many lie behind one another."""

FULL_SHARE = 0.45
"""Share of the cube above which a volume is full: 86 % of the ball in which a field lives."""

MIN_IOU = 0.3
"""Below this agreement no level of the field looks like its pictures."""

PLATEAU_IOU = 0.005
"""Candidates this close to the best are equal; the middle one is the most stable."""

LOST_SHARE = 0.02
"""Share of the voxels inside that may lie apart from the largest component before its level is searched anew."""

SMOOTHING_VOXELS = 0.6


@dataclass(frozen=True)
class Isovalue:
    """The chosen density per scene unit and the mean silhouette IoU in [0, 1] that it reaches."""

    density: float
    silhouette_iou: float


def choose_isovalue(snapshot: FieldSnapshot) -> Isovalue:
    """The density whose level set looks most like the reference views.

    Raises EmptyField or FullField where there is no object, SurfaceFailed where the numbers are
    not finite or nothing agrees with the pictures.
    """
    shown = _shown(snapshot)
    opacity = _voxel_opacity(snapshot)
    isovalue = _best_isovalue(opacity, snapshot, shown)
    body, share_of_body = _largest_body(opacity, _level_of(isovalue.density, snapshot))
    cause = "the field and its pictures disagree"
    if share_of_body < 1.0 - LOST_SHARE:
        isovalue = _best_isovalue(_connected_to(body, opacity), snapshot, shown)
        cause = f"the field lies in pieces, the largest with {share_of_body:.1%} of it"
    share = float((snapshot.density >= isovalue.density).mean())
    if share > FULL_SHARE:
        raise FullField(f"the surface encloses {share:.0%} of the cube: more than {FULL_SHARE:.0%} is a fog or a shell")
    if isovalue.silhouette_iou < MIN_IOU:
        raise SurfaceFailed(
            f"silhouette IoU = {isovalue.silhouette_iou:.3f} at best: no isovalue reaches {MIN_IOU}; {cause}"
        )
    return isovalue


def _best_isovalue(
    opacity: Float32[np.ndarray, "S S S"], snapshot: FieldSnapshot, shown: Bool[np.ndarray, "V P"]
) -> Isovalue:
    """The level whose silhouettes agree best with `shown`; of nearly equal ones the middle one."""
    largest = np.stack([_largest_on_rays(opacity, snapshot, view) for view in range(len(shown))])
    if float(largest.max()) < MIN_OPACITY:
        raise EmptyField(
            f"density: no reference view meets a voxel of opacity {MIN_OPACITY:g} or above; the volume vanished"
        )
    top = _density_of(0.98 * float(largest.max()), snapshot)
    densities = np.geomspace(1e-3 * top, top, NUM_CANDIDATES)
    ious = np.array([mean_iou(largest >= _level_of(float(density), snapshot), shown) for density in densities])
    plateau = np.flatnonzero(ious >= float(ious.max()) - PLATEAU_IOU)
    chosen = int(plateau[np.argmin(np.abs(plateau - np.median(plateau)))])
    return Isovalue(density=float(densities[chosen]), silhouette_iou=float(ious[chosen]))


def _largest_body(opacity: Float32[np.ndarray, "S S S"], level: float) -> tuple[Bool[np.ndarray, "S S S"], float]:
    """The largest set of face-connected voxels at or above `level`, and its share of all that are."""
    labels, _ = label(opacity >= level)
    sizes = np.bincount(labels.ravel())[1:]
    if len(sizes) == 0:  # the level lies between the vertices of the grid
        return opacity >= opacity.max(), 1.0
    return labels == 1 + int(sizes.argmax()), float(sizes.max() / sizes.sum())


def _connected_to(
    body: Bool[np.ndarray, "S S S"], opacity: Float32[np.ndarray, "S S S"]
) -> Float32[np.ndarray, "S S S"]:
    """The highest level at which each voxel still hangs together with the densest one of `body`.

    That is grey-scale reconstruction by dilation (Vincent, IEEE TIP 1993): cut at any level it leaves
    the one component, so a single maximum projection judges all levels again.
    """
    seed = np.zeros_like(opacity)
    densest = np.unravel_index(int(np.where(body, opacity, 0.0).argmax()), opacity.shape)
    seed[densest] = opacity[densest]
    connected: np.ndarray = reconstruction(seed, opacity, footprint=generate_binary_structure(3, 1))
    return connected.astype(np.float32)


def extract_surface(snapshot: FieldSnapshot, isovalue: float, style: SurfaceStyle = "plain") -> tuple[Surface, float]:
    """The largest closed component of {density >= isovalue} in scene units, and its share of the area.

    Marching cubes (Lorensen and Cline, SIGGRAPH 1987; Lewiner's table) on the opacity of single voxels, without
    tunnels of a voxel's width (`tunnels`), then relaxed in `style` (`relax`). Raises EmptyField when nothing is
    inside, SurfaceFailed when no closed solid comes out.
    """
    opacity = _voxel_opacity(snapshot)
    level = _level_of(isovalue, snapshot)
    if float(opacity.max()) <= level:
        raise EmptyField(f"isovalue = {isovalue:.4g}: no grid vertex lies inside the surface")

    surface, area_share = _level_set(opacity, level, snapshot)
    if genus(surface) > 0:
        filled, share_of_filled = _level_set(without_tunnels(opacity, level), level, snapshot)
        if genus(filled) < genus(surface):
            surface, area_share = filled, share_of_filled
    return relaxed(surface, style, len(snapshot.density)), area_share


def _level_set(opacity: Float32[np.ndarray, "S S S"], level: float, snapshot: FieldSnapshot) -> tuple[Surface, float]:
    """The largest closed component of {opacity >= level}, and its share of the area."""
    opacity = np.where(opacity == np.float32(level), opacity + np.float32(1e-6), opacity)  # on it, triangles degenerate
    positions, faces, _, _ = marching_cubes(opacity, level=level, gradient_direction="ascent")
    positions = (positions - 1.0) * _voxel_side(snapshot) - snapshot.bound
    return _largest_solid(positions.astype(np.float32), faces.astype(np.uint32))


def _largest_solid(positions: Float32[np.ndarray, "N 3"], faces: UInt32[np.ndarray, "F 3"]) -> tuple[Surface, float]:
    mesh = manifold3d.Mesh(positions, faces)
    mesh.merge()
    surface = _manifold(mesh)
    # Not manifold3d's decompose(): its time grows with components times vertices, to minutes for noise.
    component = _components(surface)
    corners = surface.vertices.astype(np.float64)[surface.faces]
    normals = area_normals(corners)
    areas = np.bincount(component, weights=np.linalg.norm(normals, axis=1))
    volumes = np.bincount(component, weights=(corners[:, 0] * normals).sum(axis=1))
    # A closed cavity is a component of negative volume: it cannot be seen and is left out.
    areas[volumes <= 0.0] = 0.0
    if not areas.any():
        raise SurfaceFailed("marching cubes: no component encloses a positive volume")
    used, largest = np.unique(surface.faces[component == areas.argmax()], return_inverse=True)
    part = manifold3d.Mesh(surface.vertices[used], largest.reshape(-1, 3).astype(np.uint32))
    return _manifold(part), float(areas.max() / areas.sum())


def _manifold(mesh: manifold3d.Mesh) -> Surface:
    """`mesh` as manifold3d sorts it, vertices split where it only touches itself."""
    solid = manifold3d.Manifold(mesh)
    if solid.status() != manifold3d.Error.NoError:
        raise SurfaceFailed(f"marching cubes: {solid.status().name}; the level set is no closed manifold")
    triangles = solid.to_mesh()
    return Surface(
        vertices=np.ascontiguousarray(np.asarray(triangles.vert_properties)[:, :3], dtype=np.float32),
        faces=np.ascontiguousarray(triangles.tri_verts, dtype=np.uint32),
    )


def _components(surface: Surface) -> Int64[np.ndarray, " F"]:
    """The number of the connected component that each face belongs to."""
    first, second, third = surface.faces.T
    edges = np.concatenate((first, first)), np.concatenate((second, third))
    size = len(surface.vertices)
    graph = coo_matrix((np.ones(len(edges[0])), edges), shape=(size, size))
    numbers: np.ndarray = connected_components(graph, directed=False)[1][first].astype(np.int64)
    return numbers


def _voxel_side(snapshot: FieldSnapshot) -> float:
    """Distance of neighbouring grid vertices in scene units."""
    return float(2.0 * snapshot.bound / (snapshot.density.shape[0] - 1))


def _level_of(density: float, snapshot: FieldSnapshot) -> float:
    """Opacity of one voxel of this density."""
    return -math.expm1(-density * _voxel_side(snapshot))


def _density_of(level: float, snapshot: FieldSnapshot) -> float:
    """The inverse of `_level_of`."""
    return -math.log1p(-level) / _voxel_side(snapshot)


def _voxel_opacity(snapshot: FieldSnapshot) -> Float32[np.ndarray, "S S S"]:
    """1 - exp(-density * voxel side), lightly smoothed, within a border of empty voxels (S = R + 2).

    Bounded, unlike density, so that steep fields leave no stairs where they are interpolated.
    """
    density = snapshot.density.astype(np.float32)
    missing = int(np.isnan(density).sum())
    if missing:
        raise SurfaceFailed(f"density: {missing} of {density.size} grid values are not a number")
    opacity: np.ndarray = np.pad(-np.expm1(-np.maximum(density, 0.0) * _voxel_side(snapshot)), 1)
    opacity = gaussian_filter(opacity, SMOOTHING_VOXELS, mode="constant")
    opacity[[0, -1]] = opacity[:, [0, -1]] = opacity[:, :, [0, -1]] = 0.0
    return opacity


def _pixel_rows(side_px: int) -> np.ndarray:
    """The rows (and columns) of a reference view that the search looks at."""
    count = min(side_px, SEARCH_PX)
    return ((np.arange(count) + 0.5) * side_px / count).astype(np.int64)


def _shown(snapshot: FieldSnapshot) -> Bool[np.ndarray, "V P"]:
    """Searched pixels of each reference view that are mostly opaque."""
    rows = _pixel_rows(snapshot.view_opacity.shape[1])
    shown = snapshot.view_opacity[:, rows][:, :, rows] > HALF_OPAQUE
    if not shown.any():
        raise EmptyField("view_opacity: no pixel of any reference view is more than half opaque")
    return shown.reshape(len(shown), -1)


def _largest_on_rays(
    opacity: Float32[np.ndarray, "S S S"], snapshot: FieldSnapshot, view: int
) -> Float32[np.ndarray, " P"]:
    """The largest voxel opacity that the ray through each searched pixel of a view meets."""
    origin, directions = _rays(snapshot, view)
    border = snapshot.bound + _voxel_side(snapshot)
    to_low, to_high = (-border - origin) / directions, (border - origin) / directions
    near = np.maximum(np.minimum(to_low, to_high).max(axis=1), 0.0)
    far = np.maximum(to_low, to_high).min(axis=1)
    hits = np.flatnonzero(far > near)
    num_samples = min(int(np.ceil(3.2 * len(opacity))), SAMPLES_PER_RAY_MAX)
    share = (np.arange(num_samples) + 0.5) / num_samples
    distance = near[hits, None] + (far - near)[hits, None] * share
    points = origin + distance[..., None] * directions[hits, None, :]
    indices = (points + border) / _voxel_side(snapshot)
    met = map_coordinates(opacity, np.moveaxis(indices, -1, 0), order=1, mode="nearest")
    largest = np.zeros(len(directions), dtype=np.float32)
    largest[hits] = met.max(axis=1)
    return largest


def _rays(snapshot: FieldSnapshot, view: int) -> tuple[Float64[np.ndarray, " 3"], Float64[np.ndarray, "P 3"]]:
    """Origin and unit directions of the rays through the searched pixel centres of a view."""
    side_px = snapshot.view_opacity.shape[1]
    centers = (_pixel_rows(side_px) + 0.5) / side_px * 2.0 - 1.0
    tangent = np.tan(0.5 * np.deg2rad(float(snapshot.fovy_deg[view])))
    up, right = np.meshgrid(-centers * tangent, centers * tangent, indexing="ij")
    local = np.stack((right, up, -np.ones_like(up)), axis=-1).reshape(-1, 3)
    local /= np.linalg.norm(local, axis=1, keepdims=True)
    pose = snapshot.camera_to_world[view].astype(np.float64)
    directions = local @ pose[:3, :3].T
    return pose[:3, 3], np.where(directions == 0.0, 1e-12, directions)
