"""Stage 7, judging an asset from what every asset has: its field, its mesh and its pictures.

Nothing here knows a true surface: gates read these numbers, and a measurement must
not be selected by its own answer.

Dimension key:  V reference views · H, W pixels per side · P covered pixels
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from dreamfoundry.asset.maps.rasterize import Fragments, project, rasterize, sample_texture, silhouette
from dreamfoundry.asset.maps.srgb import srgb_from_linear
from dreamfoundry.asset.surface.collision import volume_ratio
from dreamfoundry.asset.surface.distance import SurfaceError
from dreamfoundry.asset.surface.silhouettes import HALF_OPAQUE, mean_iou
from dreamfoundry.asset.surface.triangles import area_normals, genus, signed_volume
from dreamfoundry.records import ColoredMesh, FieldSnapshot, Surface, TexturedMesh


def quality_scores(
    snapshot: FieldSnapshot, surface: Surface, delivered: TexturedMesh | ColoredMesh
) -> dict[str, float]:
    """All scores of an asset. `surface` and `delivered` are its first level in scene units.

    What the prior thought of the finished field (`prompt_gain`, `several_faces_share`: see
    `distill.probes`) is carried over from the snapshot.
    """
    seen = snapshot.history.chosen.scores if snapshot.history.chosen else {}
    return {
        **{name: score for name, score in seen.items() if name in ("prompt_gain", "several_faces_share")},
        "silhouette_iou": silhouette_iou(snapshot, surface),
        "view_color_error_mean": view_color_error_mean(snapshot, delivered),
        "mean_opacity": mean_opacity(snapshot),
        "flatness_ratio": flatness_ratio(surface),
        "saturation_mean": saturation_mean(_colors(delivered)),
        "genus": float(genus(surface)),
        "enclosed_share_of_box": enclosed_share_of_box(surface),
    }


def level_scores(
    snapshot: FieldSnapshot, levels: Sequence[Surface], errors: Sequence[SurfaceError]
) -> dict[str, float]:
    """Losses of each level: its distance to the dense surface, given as `errors`, and its silhouettes in the reference
    views against those of the field (`silhouette_iou`) and of the first level (`level_iou`)."""
    scores = {}
    shown = snapshot.view_opacity > HALF_OPAQUE
    first = _silhouettes(snapshot, levels[0])
    for number, (level, error) in enumerate(zip(levels, errors, strict=True)):
        drawn = _silhouettes(snapshot, level)
        scores[f"surface_error_mean_LOD{number}"] = error.mean
        scores[f"surface_error_max_LOD{number}"] = error.max
        scores[f"silhouette_iou_LOD{number}"] = mean_iou(drawn, shown)
        scores[f"level_iou_LOD{number}"] = mean_iou(drawn, first)
    return scores


def hull_scores(hulls: Sequence[Surface], surface: Surface) -> dict[str, float]:
    """Number and volume of the collision hulls of `surface`; nothing where there are none."""
    if not hulls:
        return {}
    return {"num_collision_hulls": float(len(hulls)), "collision_volume_ratio": volume_ratio(hulls, surface)}


def detail_scores(levels: Sequence[TexturedMesh | ColoredMesh]) -> dict[str, float]:
    """Share of the texels of each level, in [0, 1], that hit the dense surface while baking."""
    return {
        f"detail_found_share_LOD{number}": level.detail.found_share
        for number, level in enumerate(levels)
        if isinstance(level, TexturedMesh) and level.detail is not None
    }


def silhouette_iou(snapshot: FieldSnapshot, surface: Surface) -> float:
    """Mean intersection over union of the mesh and the rendered volume over the views, in [0, 1]."""
    return mean_iou(_silhouettes(snapshot, surface), snapshot.view_opacity > HALF_OPAQUE)


def _silhouettes(snapshot: FieldSnapshot, surface: Surface) -> Bool[np.ndarray, "V H W"]:
    """Pixels covered by a mesh in each reference view."""
    side_px = snapshot.view_opacity.shape[1]
    views = zip(snapshot.camera_to_world, snapshot.fovy_deg.tolist(), strict=True)
    return np.stack([silhouette(surface.vertices, surface.faces, pose, fovy, side_px) for pose, fovy in views])


def view_color_error_mean(snapshot: FieldSnapshot, mesh: TexturedMesh | ColoredMesh) -> float:
    """Mean absolute sRGB difference, in [0, 1], of a mesh with its colours and reference views where both are.

    Catches what geometry cannot show: a mirrored atlas, swapped axes, colours of the interior.
    It is 1 when they share no pixel.
    """
    differences = []
    for view, opacity in enumerate(snapshot.view_opacity):
        pose, fovy_deg = snapshot.camera_to_world[view], float(snapshot.fovy_deg[view])
        points = project(mesh.vertices, pose, fovy_deg, len(opacity))
        seen = rasterize(points, mesh.faces, len(opacity), front_only=True)
        both = opacity.reshape(-1)[seen.pixel] > HALF_OPAQUE
        drawn = _shown(mesh, seen)[both]
        premultiplied = snapshot.view_rgb[view].reshape(-1, 3)[seen.pixel[both]].astype(np.float64)
        covered = opacity.reshape(-1, 1)[seen.pixel[both]]
        differences.append(np.abs(drawn - np.minimum(premultiplied / covered, 1.0)).reshape(-1))
    together = np.concatenate(differences)
    return float(together.mean()) if together.size else 1.0


def _shown(mesh: TexturedMesh | ColoredMesh, seen: Fragments) -> Float[np.ndarray, "P 3"]:
    """The sRGB colour in [0, 1] of each covered pixel."""
    if isinstance(mesh, ColoredMesh):
        return srgb_from_linear(seen.interpolate(mesh.colors, mesh.faces))
    return sample_texture(mesh.base_color, seen.interpolate(mesh.uvs, mesh.faces))


def _colors(mesh: TexturedMesh | ColoredMesh) -> UInt8[np.ndarray, "H W 3"]:
    """The texture, or the colours of the vertices as a picture of one row."""
    if isinstance(mesh, ColoredMesh):
        return (srgb_from_linear(mesh.colors) * 255.0).round().astype(np.uint8)[None]
    return mesh.base_color


def mean_opacity(snapshot: FieldSnapshot) -> float:
    """Mean opacity of the reference views, in [0, 1]: near 0 is empty, near 1 is a fog."""
    return float(snapshot.view_opacity.mean() / 255.0)


def flatness_ratio(surface: Surface) -> float:
    """Smallest by middle standard deviation of the surface along its principal axes, in [0, 1].

    A ball has 1, a disc near 0: "a picture on a plate" is how flat text-to-3D fails.
    """
    corners = surface.vertices.astype(np.float64)[surface.faces]
    area = np.linalg.norm(area_normals(corners), axis=1)
    centers = corners.mean(axis=1)
    centered = centers - np.average(centers, axis=0, weights=area)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh((centered * area[:, None]).T @ centered / area.sum()), 0.0))
    return float(spread[0] / spread[1]) if spread[1] > 0.0 else 0.0


def saturation_mean(base_color: UInt8[np.ndarray, "H W 3"]) -> float:
    """Mean HSV saturation of a picture, in [0, 1]; strong guidance drives it towards 1."""
    largest = base_color.max(axis=-1).astype(np.float64)
    chroma = largest - base_color.min(axis=-1)
    return float((chroma / np.maximum(largest, 1.0)).mean())


def enclosed_share_of_box(surface: Surface) -> float:
    """Enclosed volume by the volume of the bounding box, in [0, 1]; a brick has 1, a ball 0.52."""
    corners = surface.vertices.astype(np.float64)[surface.faces]
    volume = signed_volume(corners)
    box = float(np.prod(np.ptp(surface.vertices.astype(np.float64), axis=0)))
    return volume / box if box > 0.0 else 0.0


def diversity(shown: Sequence[UInt8[np.ndarray, "*S"] | Int64[np.ndarray, "*S"]]) -> float:
    """Difference of the results of one prompt under different seeds, in [0, 1]; 0 is identical.

    `shown` has the pictures of each result, from 0 to 255, from the same views. Mean absolute
    difference over all pairs of results: two seeds that show the same thing turned differ too.
    ValueError for fewer than two, or pictures that do not match.
    """
    if len(shown) < 2 or len({pictures.shape for pictures in shown}) > 1:
        raise ValueError(
            f"diversity needs at least two results with the same views, got {[pictures.shape for pictures in shown]}"
        )
    pairs = combinations([pictures.astype(np.int64) for pictures in shown], 2)
    return float(np.mean([np.abs(one - other).mean() for one, other in pairs])) / 255.0


def views_on_white(snapshot: FieldSnapshot) -> Int64[np.ndarray, "V H H 3"]:
    """The reference views over white, from 0 to 255 (their colours are premultiplied)."""
    views: np.ndarray = snapshot.view_rgb.astype(np.int64) + 255 - snapshot.view_opacity[..., None]
    return views.clip(0, 255)
