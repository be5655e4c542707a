"""Stage 7, gates: what a delivered file must fulfil, looked at in its bytes.

The Khronos validator (module `khronos`) passes a mesh that is inside out, a thousand times too
big or whose texture is cut off; the gates here do not. Each returns findings; a "block" refuses
publication.

Dimension key:  N vertices of the file · W vertices after welding equal positions · F faces
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from dreamfoundry.glb_reader import DeliveredMesh, node_names, read_glb
from dreamfoundry.records import Finding
from dreamfoundry.triangles import area_normals, signed_volume

TOOL = "dreamfoundry"
GATES = (
    "khronos",
    "readable",
    "finite",
    "unit_normals",
    "watertight",
    "one_component",
    "volume",
    "winding",
    "triangle_budget",
    "levels_decreasing",
    "base_at_origin",
    "height",
    "unwrapped",
    "uv_range",
    "image_decodes",
    "image_size",
    "base_color_varies",
    "collision_hull",
    "browser",
    "video",
    "usd",
    "web",
    "content_credential",
)
"""Every gate by name; `gate_results` gives each one a word."""

PLACEMENT_TOLERANCE = 0.01
"""Share of the height by which the first level may miss height, ground and axis."""

COARSE_TOLERANCE = 0.08
"""The same for coarser levels, which keep the placement of the first but lose detail."""

MIN_AGREEING_SHARE = 0.9
"""Share of faces that the normals must agree with: sharp corners of a coarse level miss a few, a
flipped surface misses all."""

MIN_COLOR_SPREAD = 1.0
"""Standard deviation of the base colour, of 255, below which it counts as constant."""


@dataclass(frozen=True)
class LevelLimits:
    """What one level was ordered to be; `texture_px` is a power of two."""

    max_triangles: int
    texture_px: int
    height_m: float


def check_levels(glbs: Mapping[str, bytes], limits: Sequence[LevelLimits]) -> list[Finding]:
    """All gates on the levels of detail, finest first; `glbs` and `limits` run in parallel."""
    findings: list[Finding] = []
    counts: list[int] = []
    for index, ((name, data), limit) in enumerate(zip(glbs.items(), limits, strict=True)):
        try:
            mesh = read_glb(data)
        except ValueError as error:
            findings.append(_block("readable", f"{name}: {error}"))
            continue
        counts.append(len(mesh.faces))
        tolerance = COARSE_TOLERANCE if index else PLACEMENT_TOLERANCE
        problems = chain(
            _shape_problems(mesh, limit), _placement_problems(mesh, limit, tolerance), _image_problems(mesh, limit)
        )
        findings.extend(replace(problem, message=f"{name}: {problem.message}") for problem in problems)
    if any(later >= earlier for earlier, later in pairwise(counts)):
        findings.append(_block("levels_decreasing", f"triangles per level = {counts}: must strictly decrease"))
    return findings


def check_collision(glb: bytes, max_vertices: int) -> list[Finding]:
    """Each hull must be closed, turned outwards, convex and small enough."""
    try:
        hulls = {name: read_glb(glb, name) for name in node_names(glb)}
    except ValueError as error:
        return [_block("readable", f"collision hull: {error}")]
    return [
        _block("collision_hull", f"{name}: {flaw}")
        for name, hull in hulls.items()
        for flaw in _flaws(hull, max_vertices)
    ]


def _flaws(hull: DeliveredMesh, max_vertices: int) -> Iterator[str]:
    corners = hull.vertices.astype(np.float64)[hull.faces]
    normals = _face_normals(corners)
    size = float(np.ptp(hull.vertices, axis=0).max())
    outside = np.einsum("fk,nk->fn", normals, hull.vertices) - (normals * corners[:, 0]).sum(axis=1)[:, None]
    if len(hull.vertices) > max_vertices:
        yield f"{len(hull.vertices)} vertices: the limit is {max_vertices}"
    if not _closed(hull.faces.astype(np.int64), len(hull.vertices)) or signed_volume(corners) <= 0.0:
        yield "the hull is open or inside out"
    elif outside.max() > 1e-4 * size:
        yield f"a vertex stands {outside.max():.3g} m outside a face: not convex"


def gate_results(findings: Sequence[Finding]) -> dict[str, str]:
    """One word per gate: "passed", or the worst of "warn", "not_run", "block" that was found."""
    ranks = ("passed", "warn", "not_run", "block")
    results = dict.fromkeys(GATES, "passed")
    for finding in findings:
        results[finding.gate] = max(results[finding.gate], finding.severity, key=ranks.index)
    return results


def _block(gate: str, message: str) -> Finding:
    return Finding("block", gate, TOOL, message)


def _shape_problems(mesh: DeliveredMesh, limit: LevelLimits) -> Iterator[Finding]:
    if len(mesh.faces) > limit.max_triangles:
        yield _block("triangle_budget", f"{len(mesh.faces)} triangles: the budget is {limit.max_triangles}")
    arrays = [a for a in (mesh.vertices, mesh.normals, mesh.tangents, mesh.uvs, mesh.colors) if a is not None]
    if not all(np.isfinite(array).all() for array in arrays):
        yield _block("finite", "a position, normal, tangent, texture coordinate or colour is not a finite number")
        return
    if mesh.faces.size == 0 or int(mesh.faces.max()) >= len(mesh.vertices):
        yield _block("readable", "there is no triangle, or one names a vertex that does not exist")
        return
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    welded, num_welded = _weld(mesh)
    if not _closed(welded, num_welded):
        yield _block("watertight", "an edge does not belong to exactly two triangles of opposite direction")
    if (bodies := _num_components(welded, num_welded)) != 1:
        yield _block("one_component", f"{bodies} separate parts: must be 1")
    if (volume := signed_volume(corners)) <= 0.0:
        yield _block("volume", f"signed volume = {volume:.4g} m3: must be positive (the surface is inside out)")
    yield from _normal_problems(mesh, corners)


def _normal_problems(mesh: DeliveredMesh, corners: Float64[np.ndarray, "F 3 3"]) -> Iterator[Finding]:
    if mesh.normals is None:
        yield _block("unit_normals", "the mesh has no normals")
        return
    lengths = np.linalg.norm(mesh.normals, axis=1)
    if (worst := float(np.abs(lengths - 1.0).max())) > 1e-3:
        yield _block("unit_normals", f"a normal is {worst:.3g} off the length 1")
    agreeing = (_face_normals(corners) * mesh.normals[mesh.faces].mean(axis=1)).sum(axis=1) > 0.0
    if (share := float(agreeing.mean())) < MIN_AGREEING_SHARE:
        yield _block("winding", f"normals agree with {share:.1%} of the faces: must be {MIN_AGREEING_SHARE:.0%}")


def _placement_problems(mesh: DeliveredMesh, limit: LevelLimits, tolerance: float) -> Iterator[Finding]:
    low, high = mesh.vertices.min(axis=0).astype(np.float64), mesh.vertices.max(axis=0).astype(np.float64)
    height = float(high[1] - low[1])
    if not abs(height - limit.height_m) <= tolerance * limit.height_m:
        yield _block("height", f"height = {height:.4g} m: must be {limit.height_m:g} m within {tolerance:.0%}")
    allowed = tolerance * float((high - low).max())
    center = 0.5 * (low + high)
    if not max(abs(low[1]), abs(center[0]), abs(center[2])) <= allowed:
        yield _block(
            "base_at_origin",
            f"lowest y = {low[1]:.4g} m, middle x, z = {center[0]:.4g}, {center[2]:.4g} m: "
            f"must be 0 within {allowed:.2g} m",
        )


def _image_problems(mesh: DeliveredMesh, limit: LevelLimits) -> Iterator[Finding]:
    if mesh.colors is not None:
        return  # its colours stand at the vertices: it could not be unwrapped, or is the dense surface
    if mesh.uvs is None or not ((mesh.uvs >= 0.0) & (mesh.uvs <= 1.0)).all():
        yield _block("uv_range", "texture coordinates are missing or outside of [0, 1]")
    try:
        texture = mesh.base_color()
    except ValueError as error:
        yield _block("image_decodes", str(error))
        return
    height_px, width_px = texture.shape[:2]
    if not height_px == width_px == limit.texture_px:
        yield _block(
            "image_size", f"texture of {width_px} x {height_px} px: must be {limit.texture_px} x {limit.texture_px} px"
        )
    if float(texture.reshape(-1, 3).std(axis=0).max()) < MIN_COLOR_SPREAD:
        yield Finding("warn", "base_color_varies", TOOL, "the base colour is the same everywhere")


def _weld(mesh: DeliveredMesh) -> tuple[Int64[np.ndarray, "F 3"], int]:
    """Faces over distinct positions: seams of the texture are no holes."""
    unique, index = np.unique(mesh.vertices, axis=0, return_inverse=True)
    return index.reshape(-1)[mesh.faces].astype(np.int64), len(unique)


def _closed(faces: Int64[np.ndarray, "F 3"], num_vertices: int) -> bool:
    """Whether every directed edge occurs once, and its reverse once: a closed, oriented manifold."""
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    forward = np.sort(edges[:, 0] * num_vertices + edges[:, 1])
    backward = np.sort(edges[:, 1] * num_vertices + edges[:, 0])
    return bool((np.diff(forward) > 0).all() and np.array_equal(forward, backward))


def _num_components(faces: Int64[np.ndarray, "F 3"], num_vertices: int) -> int:
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]]))
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(num_vertices, num_vertices))
    used = np.unique(faces)
    return len(np.unique(connected_components(graph, directed=False)[1][used]))


def _face_normals(corners: Float64[np.ndarray, "F 3 3"]) -> Float64[np.ndarray, "F 3"]:
    normals = area_normals(corners)
    unit: np.ndarray = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return unit
