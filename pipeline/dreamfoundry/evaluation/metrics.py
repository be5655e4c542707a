"""Distances between a finished asset and the true toy. For evaluation only: no build may import it.

Surfaces are compared after aligning height, base and yaw, nothing else: scaled to height 1, the
base at 0, the box centred in x and z, and turned by whole steps of 15 degrees about +Y.

Dimension key:  N points of a generated surface · M points of a true one · H points of a half
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from dreamfoundry.toybox.captions import COLORS, KINDS
from dreamfoundry.toybox.parts import ROLE_COLORS
from dreamfoundry.toybox.toys import KINDS_WITH_FRONT, role_palette, toy

NUM_YAWS = 24
NUM_POINTS = 10_000
"""Points per surface: dense, so that distances are to the surface rather than to the nearest sample."""

NUM_QUERIES = 1_000
"""Points whose nearest partner is looked up in each direction."""

TOLERANCES = (0.05, 0.02)
"""Distances that count as a match, as shares of the diagonal of the true box."""

Points = Float[np.ndarray, "N 3"]


@dataclass(frozen=True)
class ShapeScore:
    """`f_score` per tolerance at the best yaw against the prompted kind; `nearest_kind` over all."""

    nearest_kind: str
    chamfer_share: float
    f_scores: tuple[float, ...]
    yaw_deg: float


def align(points: Points) -> Points:
    """Scale to height 1, base at 0, centred in x and z."""
    low, high = points.min(axis=0), points.max(axis=0)
    center = (low + high) / 2
    center[1] = low[1]
    result: Points = (points - center) / max(float(high[1] - low[1]), 1e-9)
    return result


@functools.cache
def true_surface(kind: str) -> Points:
    """Points of the true toy, aligned."""
    return align(toy(kind).surface_points(NUM_POINTS).numpy().astype(np.float64))


@functools.cache
def _tree(kind: str) -> cKDTree:
    return cKDTree(true_surface(kind))


def turn(points: Points, yaw_deg: float) -> Points:
    """Turn `points` about +Y by `yaw_deg`."""
    c, s = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    result: Points = points @ np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
    return result


def diagonal(kind: str) -> float:
    return float(np.linalg.norm(np.ptp(true_surface(kind), axis=0)))


def best_yaw(points: Points, kind: str) -> tuple[float, float, tuple[float, ...]]:
    """(Chamfer distance, yaw, F-scores) at the yaw with the least Chamfer distance.

    Chamfer: mean of the two mean nearest distances, as a share of the true diagonal. F-score:
    harmonic mean of the shares of generated and of true points with a partner within tolerance.
    `points` are in random order.
    """
    own_tree, scale = cKDTree(points), diagonal(kind)
    queries, truth = points[:NUM_QUERIES], true_surface(kind)[:NUM_QUERIES]

    best: tuple[float, float, tuple[float, ...]] = (math.inf, 0.0, ())
    for yaw_deg in np.arange(NUM_YAWS) * 360.0 / NUM_YAWS:
        to_truth = _tree(kind).query(turn(queries, yaw_deg))[0] / scale
        to_own = own_tree.query(turn(truth, -yaw_deg))[0] / scale
        chamfer = float(to_truth.mean() + to_own.mean()) / 2
        if chamfer < best[0]:
            best = (chamfer, float(yaw_deg), tuple(_f_score(to_truth, to_own, limit) for limit in TOLERANCES))
    return best


def _f_score(to_truth: Float[np.ndarray, " N"], to_own: Float[np.ndarray, " M"], limit: float) -> float:
    precision, recall = float((to_truth < limit).mean()), float((to_own < limit).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def score_shape(points: Points, kind: str) -> ShapeScore:
    """Compare a generated surface with every kind, and in detail with the kind of the prompt."""
    own = align(points)
    distances = {other: best_yaw(own, other) for other in KINDS}
    chamfer, yaw_deg, f_scores = distances[kind]
    return ShapeScore(min(distances, key=lambda other: distances[other][0]), chamfer, f_scores, yaw_deg)


@dataclass(frozen=True)
class BackScore:
    """Chamfer distances (shares of the true diagonal) of the generated back half, at the best yaw."""

    to_true_back: float
    to_true_front: float

    @property
    def is_second_front(self) -> bool:
        """Several faces: the back is nearer to a front turned round than to the back it should be."""
        return self.to_true_front < self.to_true_back


def score_back(points: Points, kind: str, yaw_deg: float) -> BackScore | None:
    """Compare the back half with the true back and the true front; None for kinds without a front.

    `points` are aligned. Halves are cut through the middle of the box, z < 0 being the back; the
    true front is turned by 180 degrees to stand where the back is.
    """
    if kind not in KINDS_WITH_FRONT:
        return None
    back, true = _back_half(turn(points, yaw_deg)), true_surface(kind)
    return BackScore(
        _chamfer(back, _back_half(true)) / diagonal(kind),
        _chamfer(back, _back_half(turn(true, 180.0))) / diagonal(kind),
    )


def _back_half(points: Points) -> Float[np.ndarray, "H 3"]:
    middle = (points[:, 2].min() + points[:, 2].max()) / 2
    half: Float[np.ndarray, "H 3"] = points[points[:, 2] < middle]
    return half


def _chamfer(points: Points, others: Float[np.ndarray, "M 3"]) -> float:
    there = cKDTree(others).query(points[:NUM_QUERIES])[0].mean()
    back = cKDTree(points).query(others[:NUM_QUERIES])[0].mean()
    return float(there + back) / 2


def compare_surface(points: Points, kind: str) -> dict[str, Any]:
    """Figures of a generated surface against the true toy, as a row of results has them.

    `is_second_front` is None for kinds without a front; `points` are in random order.
    """
    shape = score_shape(points, kind)
    back = score_back(align(points), kind, shape.yaw_deg)
    return {
        "kind_correct": shape.nearest_kind == kind,
        "nearest_kind": shape.nearest_kind,
        "f_score_5_percent": shape.f_scores[0],
        "f_score_2_percent": shape.f_scores[1],
        "chamfer_share": shape.chamfer_share,
        "yaw_deg": shape.yaw_deg,
        "is_second_front": None if back is None else back.is_second_front,
    }


@functools.cache
def sphere_f_scores(kind: str) -> tuple[float, ...]:
    """F-scores of a plain sphere: the floor that a result has to beat."""
    index = np.arange(NUM_POINTS) + 0.5
    index = np.random.default_rng(0).permutation(index)  # so that the first ones cover the whole ball
    polar, azimuth = np.arccos(1 - 2 * index / NUM_POINTS), math.pi * (1 + math.sqrt(5)) * index
    ball = np.stack([np.cos(azimuth) * np.sin(polar), np.cos(polar), np.sin(azimuth) * np.sin(polar)], axis=1)
    return best_yaw(align(ball), kind)[2]


def dominant_color(colors: Float[np.ndarray, "N 3"]) -> str:
    """The palette name that most surface points are nearest to in CIELAB.

    Points nearest to the white or dark of fixed parts do not vote. `colors` are sRGB in [0, 1].
    """
    names = [*COLORS, "white", "dark"]
    palette = rgb2lab(np.array([*COLORS.values(), ROLE_COLORS["white"], ROLE_COLORS["dark"]])[None])[0]
    distances = np.linalg.norm(rgb2lab(colors[None])[0][:, None] - palette[None], axis=-1)
    votes = np.bincount(distances.argmin(axis=1), minlength=len(names))[: len(COLORS)]
    return names[int(votes.argmax())]


@dataclass(frozen=True)
class SaturationError:
    """Saturation of a generated surface minus that of the true toy, means over their points.

    `hsv` is HSV saturation, in [-1, 1], `chroma` CIELAB's, in its units; above 0 is over-saturated.
    """

    hsv: float
    chroma: float


def saturation_error(colors: Float[np.ndarray, "N 3"], kind: str, color: str) -> SaturationError:
    """Saturation of the albedo of a generated surface minus that of the true toy in its palette.

    `colors` are the albedo of points spread evenly over the surface, sRGB in [0, 1].
    """
    true = true_colors(kind, color)
    return SaturationError(
        float(_hsv_saturation(colors).mean() - _hsv_saturation(true).mean()),
        float(_chroma(colors).mean() - _chroma(true).mean()),
    )


@functools.cache
def true_colors(kind: str, color: str) -> Float[np.ndarray, "M 3"]:
    """Albedo of the points of `true_surface`, sRGB in [0, 1]."""
    roles = toy(kind).roles(toy(kind).surface_points(NUM_POINTS))
    return role_palette(color)[roles].numpy().astype(np.float64)


def _hsv_saturation(colors: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
    largest = colors.max(axis=1)
    saturation: Float[np.ndarray, " N"] = (largest - colors.min(axis=1)) / np.maximum(largest, 1e-6)
    return saturation


def _chroma(colors: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
    chroma: Float[np.ndarray, " N"] = np.linalg.norm(rgb2lab(colors[None])[0, :, 1:], axis=1)
    return chroma
