"""Gates on the shape of the surface: triangles that shade well, no crossing, equal handles on all levels, a stand.

Measured on the surfaces in scene units, before they are placed and split along seams.

Dimension key:  F faces · E edges
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from dreamfoundry.asset.findings import warn
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.asset.surface.crossings import num_crossing_faces
from dreamfoundry.asset.surface.standing import support_margin
from dreamfoundry.asset.surface.triangles import area_normals, genus, unit_normals
from dreamfoundry.records import Finding, Surface
from dreamfoundry.settings.export_profiles import ExportProfile

SLIVER_QUALITY = 0.2
"""A triangle of lower quality is a sliver; the quality of one with equal sides is 1."""


def shape_scores(levels: Sequence[Surface], dense: Surface) -> dict[str, float]:
    """Workmanship of the levels, finest first, and of the surface that they were decimated from.

    `sliver_share_LODn` in [0, 1], `genus_LODn` and `num_crossing_faces_LODn` per level; `edge_angle_mean_deg` of the
    dense surface, since fewer triangles show the same shape at larger angles; `stands` of the first level, the
    distance of its centre of mass from the edge of its support by its diagonal, negative where it falls over.
    """
    scores = {"edge_angle_mean_deg": edge_angle_mean_deg(dense), "stands": support_margin(levels[0])}
    for number, level in enumerate(levels):
        scores[f"sliver_share_LOD{number}"] = float((triangle_quality(level) < SLIVER_QUALITY).mean())
        scores[f"genus_LOD{number}"] = float(genus(level))
        scores[f"num_crossing_faces_LOD{number}"] = float(num_crossing_faces(level))
    return scores


def triangle_quality(surface: Surface) -> Float64[np.ndarray, " F"]:
    """4 sqrt(3) area by the sum of the squared sides, in [0, 1] (Bhatia and Lawrence, Computers & Structures 1990)."""
    corners = surface.vertices.astype(np.float64)[surface.faces]
    doubled_areas = np.linalg.norm(area_normals(corners), axis=1)
    sides = ((np.roll(corners, -1, axis=1) - corners) ** 2).sum(axis=(1, 2))
    quality: np.ndarray = 2.0 * 3.0**0.5 * doubled_areas / np.maximum(sides, 1e-30)
    return quality


def edge_angle_mean_deg(surface: Surface) -> float:
    """Mean angle in degrees between the normals of the two faces at an edge of a closed surface."""
    faces = surface.faces.astype(np.int64)
    edges = np.sort(np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]])), axis=1)
    order = np.lexsort(edges.T)
    one, other = (order % len(faces)).reshape(-1, 2).T  # the two faces of an edge follow each other
    normals = unit_normals(surface.vertices.astype(np.float64)[faces])
    cosines = (normals[one] * normals[other]).sum(axis=1).clip(-1.0, 1.0)
    return float(np.degrees(np.arccos(cosines)).mean())


def shape_problems(scores: Mapping[str, float], profile: ExportProfile) -> Iterator[Finding]:
    """A warning for each score of `shape_scores` out of its range; scores that are absent are not judged."""
    if (share := scores.get("sliver_share_LOD0", 0.0)) > profile.max_slivers:
        yield warn(
            "slivers",
            f"{share:.1%} of the triangles of LOD0 are slivers: "
            f"should be at most max_slivers = {profile.max_slivers:g}",
        )
    if (angle := scores.get("edge_angle_mean_deg", 0.0)) > profile.max_edge_angle_deg:
        yield warn(
            "smoothness",
            f"neighbouring faces of the dense surface meet at {angle:.1f} degrees: "
            f"should be at most max_edge_angle_deg = {profile.max_edge_angle_deg:g}",
        )
    if (margin := scores.get("stands", 0.0)) < 0.0:
        yield warn("stands", f"the centre of mass lies {-margin:.1%} of the diagonal outside of the support: it falls")

    genera = [int(value) for name, value in sorted(scores.items()) if name.startswith("genus_LOD")]
    if len(set(genera)) > 1:
        yield warn("equal_genus", f"handles per level = {genera}: should be equal")
    for name, count in scores.items():
        if name.startswith("num_crossing_faces_LOD") and count > 0.0:
            yield warn("self_intersection", f"{count:.0f} triangles of {name.rpartition('_')[2]} cross one another")


SHAPE = Check(
    ("slivers", "smoothness", "stands", "equal_genus", "self_intersection"),
    "scores",
    lambda draft: CheckResult(list(shape_problems(draft.scores, draft.profile))),
)
