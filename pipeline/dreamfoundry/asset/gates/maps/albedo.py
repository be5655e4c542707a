"""Gate on light in the base colour: what looks up must not be lighter than what looks down in the same hue.

A base colour is to hold no light. Score distillation sees lit pictures only, and what it cannot explain by its own
light it paints on. Paint of one hue that is lighter the more it looks up is such light, or chance.

Dimension key:  F faces · G faces of one hue
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.findings import warn
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.asset.maps.rasterize import sample_texture
from dreamfoundry.asset.maps.srgb import linear_from_srgb
from dreamfoundry.asset.surface.triangles import area_normals

GATE = "baked_light"

XYZ_FROM_LINEAR = np.array(
    [(0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041)]
)
"""Of sRGB's primaries and its white, D65 (IEC 61966-2-1)."""

NUM_HUES = 12
"""Hues of 30 degrees each; what has hardly any is one more."""

MIN_CHROMA = 8.0
"""Chroma in CIELAB from which a colour has a hue."""

MIN_SHARE = 0.1
"""Least share of the surface that a hue must cover to be judged."""

MIN_SPREAD = 5.0
"""Least difference in lightness, of 100, that counts as light: less is grain."""

STEEP = 0.5
"""Height of a normal from which a face looks up, or below the negative of it, down: 30 degrees off the level."""


def baked_light(mesh: DeliveredMesh) -> dict[str, float]:
    """Scores of the hue in which lightness follows the normal's height most; nothing where no hue looks up and down.

    `lightness_up_correlation` is the correlation over the surface, in [-1, 1], of CIE lightness and the height of the
    normal; `lightness_up_spread` is the mean lightness, of 100, of faces that look up less that of those that look
    down.
    Raises ValueError where there are no colours or a broken texture.
    """
    normals = area_normals(mesh.vertices.astype(np.float64)[mesh.faces])
    area = np.linalg.norm(normals, axis=1)
    upwards = normals[:, 1] / np.maximum(area, 1e-30)
    lightness, hue = _lightness_and_hue(_face_colors(mesh))

    found: dict[str, float] = {}
    for number in range(NUM_HUES + 1):
        chosen = hue == number
        if area[chosen].sum() < MIN_SHARE * area.sum():
            continue
        up, down = chosen & (upwards > STEEP), chosen & (upwards < -STEEP)
        if not area[up].sum() > 0.0 or not area[down].sum() > 0.0:
            continue
        correlation = _correlation(lightness[chosen], upwards[chosen], area[chosen])
        if correlation > found.get("lightness_up_correlation", -np.inf):
            spread = np.average(lightness[up], weights=area[up]) - np.average(lightness[down], weights=area[down])
            found = {"lightness_up_correlation": correlation, "lightness_up_spread": float(spread)}
    return found


def _face_colors(mesh: DeliveredMesh) -> Float64[np.ndarray, "F 3"]:
    """Linear base colour in the middle of each face."""
    if mesh.colors is not None:
        at_vertices: np.ndarray = mesh.colors.astype(np.float64)[mesh.faces].mean(axis=1)
        return at_vertices
    if mesh.uvs is None:
        raise ValueError("there are neither texture coordinates nor colours at the vertices")
    colors: np.ndarray = linear_from_srgb(sample_texture(mesh.base_color, mesh.uvs[mesh.faces].mean(axis=1)))
    return colors


def _lightness_and_hue(linear: Float64[np.ndarray, "F 3"]) -> tuple[np.ndarray, np.ndarray]:
    """CIE lightness from 0 to 100, and the number of the hue: `NUM_HUES` for greys (CIELAB, ISO/CIE 11664-4)."""
    relative = linear @ (XYZ_FROM_LINEAR / XYZ_FROM_LINEAR.sum(axis=1, keepdims=True)).T
    bent = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    along_a, along_b = 500.0 * (bent[:, 0] - bent[:, 1]), 200.0 * (bent[:, 1] - bent[:, 2])
    turn = np.arctan2(along_b, along_a) / (2.0 * np.pi) % 1.0
    hue = np.minimum((turn * NUM_HUES).astype(np.int64), NUM_HUES - 1)
    return 116.0 * bent[:, 1] - 16.0, np.where(np.hypot(along_a, along_b) < MIN_CHROMA, NUM_HUES, hue)


def _correlation(
    one: Float64[np.ndarray, " G"], other: Float64[np.ndarray, " G"], weights: Float64[np.ndarray, " G"]
) -> float:
    one, other = (values - np.average(values, weights=weights) for values in (one, other))
    size = np.sqrt((weights * one**2).sum() * (weights * other**2).sum())
    return float((weights * one * other).sum() / size) if size > 1e-12 else 0.0


def _check(draft: AssetDraft) -> CheckResult:
    try:
        scores = baked_light(draft.master.mesh)
    except ValueError:  # refused by "readable" or "image_decodes"
        return CheckResult([])

    limit = draft.profile.max_lightness_correlation
    correlation, spread = scores.get("lightness_up_correlation", 0.0), scores.get("lightness_up_spread", 0.0)
    if correlation <= limit or spread < MIN_SPREAD:
        return CheckResult([], scores)
    message = (
        f"{draft.master.name}: in one hue, lightness follows the height of the normal with a correlation of "
        f"{correlation:.2f}, and what looks up is {spread:.0f} of 100 lighter than what looks down: "
        f"should be at most {limit:g}, the base colour seems to hold light"
    )
    return CheckResult([warn(GATE, message)], scores)


ALBEDO = Check((GATE,), "files", _check)
