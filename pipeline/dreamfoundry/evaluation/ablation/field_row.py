"""Compare one optimised field with the true toy: its surface, its back, its colours. No texture is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh

from dreamfoundry.asset.gates.scores import flatness_ratio
from dreamfoundry.asset.maps.texture import sample_grid, surface_colors
from dreamfoundry.asset.surface.isosurface import choose_isovalue, extract_surface
from dreamfoundry.evaluation.metrics import NUM_POINTS, compare_surface, saturation_error
from dreamfoundry.records import FieldSnapshot
from dreamfoundry.settings.values import require
from dreamfoundry.toybox.captions import color_of, kind_of


def toy_named(text: str) -> tuple[str, str]:
    """(kind, color) in a prompt; ConfigError if it names no toy in a trained colour."""
    kind, color = kind_of(text), color_of(text)
    if kind is None or color is None:
        require(False, "prompt", text, "must name a kind and a colour of the toybox")
    return str(kind), str(color)


def field_row(snapshot: FieldSnapshot, text: str) -> dict[str, Any]:
    """Measurements of one field. Raises PromptFailure if it has no surface.

    `is_second_front` is None for kinds without a front. `saturation_error` is the mean HSV
    saturation of the albedo at the surface minus that of the true toy, in [-1, 1].
    """
    kind, color = toy_named(text)
    isovalue = choose_isovalue(snapshot).density
    surface, _ = extract_surface(snapshot, isovalue)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    points = np.asarray(trimesh.sample.sample_surface(mesh, NUM_POINTS, seed=0)[0])
    colors = sample_grid(surface_colors(snapshot, isovalue), points, snapshot.bound) / 255.0

    return compare_surface(points, kind) | {
        "flatness_ratio": flatness_ratio(surface),
        "saturation_error": saturation_error(colors, kind, color).hsv,
    }


def row_without_surface(failure_class: str) -> dict[str, Any]:
    """The row of a field that has no surface: wrong, and without measurements."""
    return {
        "kind_correct": False,
        "nearest_kind": failure_class,
        "f_score_5_percent": 0.0,
        "f_score_2_percent": 0.0,
        "chamfer_share": None,
        "yaw_deg": None,
        "flatness_ratio": None,
        "is_second_front": None,
        "saturation_error": None,
    }
