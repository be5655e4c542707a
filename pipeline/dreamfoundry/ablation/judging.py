"""One optimised field against the true toy: its surface, its back, its colours. No texture is made.

Dimension key:  N points of a surface
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float
from skimage.color import rgb2hsv

from dreamfoundry.config import require
from dreamfoundry.mesh import choose_isovalue, extract_surface
from dreamfoundry.quality import flatness_ratio
from dreamfoundry.records import FieldSnapshot
from dreamfoundry.texture import sample_grid, surface_colors
from dreamfoundry.toybox.captions import color_of, kind_of
from dreamfoundry.toybox.scoring import NUM_POINTS, aligned, score_back, score_shape
from dreamfoundry.toybox.toys import role_palette, toy


def toy_named(text: str) -> tuple[str, str]:
    """(kind, color) that a prompt asks for; ConfigError if it names no toy in a trained colour."""
    kind, color = kind_of(text), color_of(text)
    if kind is None or color is None:
        require(False, "prompt", text, "must name a kind and a colour of the toybox")
    return str(kind), str(color)


def judge(snapshot: FieldSnapshot, text: str) -> dict[str, Any]:
    """What is measured of one field. Raises PromptFailure if it has no surface.

    `is_second_front` is None for kinds without a front. `saturation` and `true_saturation` are mean
    HSV saturations in [0, 1] of the albedo at the surface and of the true toy.
    """
    kind, color = toy_named(text)
    isovalue = choose_isovalue(snapshot).density
    surface, _ = extract_surface(snapshot, isovalue)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    points = np.asarray(trimesh.sample.sample_surface(mesh, NUM_POINTS, seed=0)[0])
    colors = sample_grid(surface_colors(snapshot, isovalue), points, snapshot.bound) / 255.0
    shape = score_shape(points, kind)
    back = score_back(aligned(points), kind, shape.yaw_deg)
    return {
        "kind_correct": shape.nearest_kind == kind,
        "nearest_kind": shape.nearest_kind,
        "f_score_5_percent": shape.f_scores[0],
        "f_score_2_percent": shape.f_scores[1],
        "chamfer_share": shape.chamfer_share,
        "flatness_ratio": flatness_ratio(surface),
        "is_second_front": None if back is None else back.is_second_front,
        "saturation": _saturation(colors),
        "true_saturation": _true_saturation(kind, color),
    }


def no_surface(failure_class: str) -> dict[str, Any]:
    """What stands in the place of `judge` where no surface came: wrong, and nothing of it measured."""
    return {
        "kind_correct": False,
        "nearest_kind": failure_class,
        "f_score_5_percent": 0.0,
        "f_score_2_percent": 0.0,
        "chamfer_share": None,
        "flatness_ratio": None,
        "is_second_front": None,
        "saturation": None,
        "true_saturation": None,
    }


def _saturation(colors: Float[np.ndarray, "N 3"]) -> float:
    """Mean HSV saturation of sRGB colours in [0, 1]."""
    return float(rgb2hsv(colors[None])[0, :, 1].mean())


@functools.cache
def _true_saturation(kind: str, color: str) -> float:
    points = toy(kind).surface_points(NUM_POINTS)
    return _saturation(role_palette(color)[toy(kind).roles(points)].numpy().astype(np.float64))
