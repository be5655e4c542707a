"""Workmanship of a delivered asset: what a technical artist measures in its files before anything else.

Every figure comes from the bytes of the GLBs, read by trimesh and not by the reader of the exporter, so one ruler
fits assets of any version. Lengths are shares of the diagonal of the finest level.

Dimension key:  N vertices · F faces · H, W texture · P pairs of vertices at one place
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from dreamfoundry.asset.files.glb_reader import Glb

SMALL_CHART = 2
"""Triangles of a chart that is not worth being one."""

SLIVER_QUALITY = 0.2
"""Below this, 4 sqrt(3) area / sum of squared edges (1: equilateral) makes a sliver."""

FLAT_UV_AREA = 1e-12
"""Area of a triangle in the unit square below which it has none."""

ANGLE_TRIANGLES = 20_000

PLACE_DIGITS = 7
"""Decimals, in metres, to which vertices at one place agree."""

SEAM_MIP = 3
"""Halvings of the texture at which colours on both sides of a seam are compared."""

SUPPORT_HEIGHT = 0.02
"""Share of the height below which vertices carry the asset."""

BYTES_PER_TEXEL, MIPS = 4, 4 / 3
"""RGBA of 8 bits, uncompressed, with all mips."""


SCORES: Mapping[str, str] = {
    "charts": "charts",
    "small_chart_share": "small_chart_share",
    "flat_uv_triangles": "flat_uv_triangles",
    "sliver_share": "sliver_share",
    "seam_jump": "seam_jump_mip3",
    "genus": "genus",
}
"""Figures of a level that asset.json has as scores too, and what they are called there."""


@dataclass(frozen=True)
class Part:
    """A mesh as a consumer gets it; `picture` is its base colour, 0 to 255."""

    vertices: Float[np.ndarray, "N 3"]
    faces: Int[np.ndarray, "F 3"]
    uvs: Float[np.ndarray, "N 2"] | None = None
    picture: Float[np.ndarray, "H W 3"] | None = None

    @property
    def diagonal(self) -> float:
        return float(np.linalg.norm(np.ptp(self.vertices, axis=0)))

    def solid(self) -> trimesh.Trimesh:
        """The same with vertices at one place made one."""
        places, first = np.unique(self.vertices.round(PLACE_DIGITS), axis=0, return_inverse=True)
        return trimesh.Trimesh(places, first.reshape(-1)[self.faces], process=False)


def workmanship(levels: Sequence[Path], hulls: Path | None) -> dict[str, float]:
    """The figures of an asset; `levels` are the files of its levels, finest first, `hulls` that of its hulls."""
    parts = [read_parts(level)[0] for level in levels]
    figures: dict[str, float] = {}
    for number, part in enumerate(parts):
        figures |= {f"{name}_LOD{number}": value for name, value in _of_level(part).items()}
    for name in ("charts", "small_chart_share", "flat_uv_triangles", "sliver_share", "seam_jump"):
        values = [value for key, value in figures.items() if key.startswith(f"{name}_LOD")]
        figures |= {f"{name}_any_level": max(values)} if values else {}

    finest = parts[0].solid()
    figures["edge_angle_deg"] = edge_angle_deg(finest)
    figures["num_genera"] = len({value for key, value in figures.items() if key.startswith("genus_")})
    figures["tips_over"] = float(not stands(finest))
    figures["texture_gpu_bytes"] = texture_gpu_bytes(levels)
    if hulls is not None:
        figures["hull_outside_share"] = outside(parts[0], read_parts(hulls)) / parts[0].diagonal
    return figures


def contradictions(figures: Mapping[str, float | None], scores: Mapping[str, float]) -> list[str]:
    """Scores of asset.json that are not what was measured here, by another reader and other code."""
    lines = []
    for name, value in figures.items():
        kind, _, level = name.rpartition("_LOD")
        score = scores.get(f"{SCORES[kind]}_LOD{level}") if kind in SCORES else None
        if score is None or value is None or math.isclose(value, score, rel_tol=1e-3, abs_tol=1e-3):
            continue
        lines.append(f"{name}: measured {value:.6g}, asset.json says {score:.6g}")
    return lines


def read_parts(path: Path) -> list[Part]:
    """The meshes of a GLB in their order."""
    scene = trimesh.load_scene(path, process=False)
    parts = []
    for mesh in scene.geometry.values():
        visual: Any = mesh.visual
        uvs = picture = None
        if visual.kind == "texture" and visual.uv is not None:
            # trimesh turns V upside down on import
            uvs = np.stack([visual.uv[:, 0], 1.0 - visual.uv[:, 1]], axis=1)
            texture = visual.material.baseColorTexture
            picture = None if texture is None else np.asarray(texture.convert("RGB"), dtype=np.float64)
        parts.append(Part(np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces), uvs, picture))
    return parts


def _of_level(part: Part) -> dict[str, float]:
    solid = part.solid()
    figures = {
        "sliver_share": float((qualities(solid) < SLIVER_QUALITY).mean()),
        "genus": float(solid.body_count - solid.euler_number // 2),
    }
    if part.uvs is None:
        return figures

    sizes = chart_sizes(part)
    u, v = np.moveaxis(part.uvs[part.faces], -1, 0)
    areas = 0.5 * np.abs((u[:, 1] - u[:, 0]) * (v[:, 2] - v[:, 0]) - (u[:, 2] - u[:, 0]) * (v[:, 1] - v[:, 0]))
    return {
        **figures,
        "charts": float(len(sizes)),
        "small_chart_share": float((sizes <= SMALL_CHART).mean()),
        "flat_uv_triangles": float((areas < FLAT_UV_AREA).sum()),
        "seam_jump": seam_jump(part, SEAM_MIP),
    }


def chart_sizes(part: Part) -> Int[np.ndarray, " C"]:
    """Triangles of each chart: of each set of faces that hang together by shared vertices."""
    starts, ends = part.faces[:, (0, 1)].reshape(-1), part.faces[:, (1, 2)].reshape(-1)
    links = coo_array((np.ones(len(starts)), (starts, ends)), shape=(len(part.vertices),) * 2)
    chart_of_vertex = connected_components(links, directed=False)[1]
    sizes: np.ndarray = np.unique(chart_of_vertex[part.faces[:, 0]], return_counts=True)[1]
    return sizes


def qualities(solid: trimesh.Trimesh) -> Float[np.ndarray, " F"]:
    """4 sqrt(3) area / sum of squared edges of each face: 1 for an equilateral one, 0 for none at all."""
    corners = solid.triangles
    squares = ((corners - np.roll(corners, 1, axis=1)) ** 2).sum(axis=(1, 2))
    quality: np.ndarray = 4 * math.sqrt(3) * solid.area_faces / np.maximum(squares, 1e-30)
    return quality


def edge_angle_deg(solid: trimesh.Trimesh) -> float:
    """Mean angle between neighbouring faces, as if there were ANGLE_TRIANGLES of them.

    On a smooth surface it falls with the root of their number, so that levels of any fineness compare.
    """
    mean = math.degrees(float(solid.face_adjacency_angles.mean()))
    return mean * math.sqrt(len(solid.faces) / ANGLE_TRIANGLES)


def seam_jump(part: Part, mip: int) -> float:
    """Mean difference across seams, of 255, in the channel that differs most; the picture is halved `mip` times."""
    if part.uvs is None or part.picture is None:
        return 0.0
    _, place = np.unique(part.vertices.round(PLACE_DIGITS), axis=0, return_inverse=True)
    order = np.argsort(place.reshape(-1), kind="stable")
    same = np.diff(place.reshape(-1)[order]) == 0
    left, right = order[:-1][same], order[1:][same]
    if not len(left):
        return 0.0
    small = halved(part.picture, mip)
    differences = np.abs(sampled(small, part.uvs[left]) - sampled(small, part.uvs[right]))
    return float(differences.max(axis=1).mean())


def halved(picture: Float[np.ndarray, "H W 3"], mip: int) -> Float[np.ndarray, "H2 W2 3"]:
    """`picture` with the mean of 2 x 2 texels as one, `mip` times."""
    for _ in range(mip):
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        if not height or not width:
            break
        picture = picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    return picture


def sampled(picture: Float[np.ndarray, "H W 3"], uvs: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, "P 3"]:
    """`picture` at `uvs` (origin at the top left), bilinearly, its edge repeated."""
    height, width = picture.shape[:2]
    x, y = uvs[:, 0] * width - 0.5, uvs[:, 1] * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_share, lower_share = (x - left)[:, None], (y - top)[:, None]
    xs = [np.clip(left + step, 0, width - 1) for step in (0, 1)]
    ys = [np.clip(top + step, 0, height - 1) for step in (0, 1)]
    upper = picture[ys[0], xs[0]] * (1 - right_share) + picture[ys[0], xs[1]] * right_share
    lower = picture[ys[1], xs[0]] * (1 - right_share) + picture[ys[1], xs[1]] * right_share
    mixed: np.ndarray = upper * (1 - lower_share) + lower * lower_share
    return mixed


def stands(solid: trimesh.Trimesh) -> bool:
    """True where the centre of mass is above the hull of what lies within SUPPORT_HEIGHT of the ground."""
    low, high = solid.bounds[:, 1]
    feet = solid.vertices[solid.vertices[:, 1] <= low + SUPPORT_HEIGHT * (high - low)][:, (0, 2)]
    try:
        edges = ConvexHull(feet).equations
    except (QhullError, ValueError):  # fewer than three feet, or all in a line
        return False
    return bool((edges[:, :2] @ solid.center_mass[[0, 2]] + edges[:, 2] <= 0).all())


def outside(part: Part, hulls: Sequence[Part]) -> float:
    """Distance of the vertex that lies farthest from all `hulls`, 0 where every one lies within a hull."""
    nearest = np.full(len(part.vertices), np.inf)
    for hull in hulls:
        planes = ConvexHull(hull.vertices).equations
        heights = (part.vertices @ planes[:, :3].T + planes[:, 3]).max(axis=1)
        distances = np.maximum(heights, 0.0)
        for number in np.flatnonzero((heights > 0) & (heights < nearest)):
            distances[number] = _distance(part.vertices[number], hull)
        nearest = np.minimum(nearest, distances)
    return float(nearest.max())


def _distance(point: Float[np.ndarray, 3], hull: Part) -> float:
    triangles = hull.vertices[hull.faces]
    closest = trimesh.triangles.closest_point(triangles, np.tile(point, (len(triangles), 1)))
    return float(np.linalg.norm(closest - point, axis=1).min())


def texture_gpu_bytes(levels: Iterable[Path]) -> float:
    """Memory of all different pictures of the levels on a GPU."""
    texels = {}
    for level in levels:
        glb = Glb(level.name, level.read_bytes())
        for number in range(len(glb.document.get("images", ()))):
            data = glb.image(number)
            texels[hashlib.sha256(data).digest()] = _num_texels(data)
    return sum(texels.values()) * BYTES_PER_TEXEL * MIPS


def _num_texels(png: bytes) -> int:
    """Width times height, from the head of a PNG."""
    return int.from_bytes(png[16:20], "big") * int.from_bytes(png[20:24], "big")


def clashing_names(files: Iterable[Path]) -> list[str]:
    """Names of materials and pictures that different contents share, over all GLBs among `files`."""
    contents: Mapping[str, set[str]] = defaultdict(set)
    for path in files:
        glb = Glb(path.name, path.read_bytes())
        document = glb.document
        pictures = [hashlib.sha256(glb.image(number)).hexdigest() for number in range(len(document.get("images", ())))]
        for image, digest in zip(document.get("images", ()), pictures, strict=True):
            contents[image.get("name", "")].add(digest)
        for material in document.get("materials", ()):
            contents[material.get("name", "")].add(f"{material} {pictures}")
    return sorted(name for name, found in contents.items() if len(found) > 1)
