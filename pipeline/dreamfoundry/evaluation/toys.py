"""Prompts of an evaluation, one row per asset, and figures over the rows.

A row has the request, the result and its distance to the true toy. What was not published
counts as wrong, or as 0; a key that does not apply to a row is None or absent, and the row is left
out of that figure.

Dimension key:  N points of a surface
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from dreamfoundry.evaluation.metrics import compare_surface, dominant_color, saturation_error, sphere_f_scores
from dreamfoundry.evaluation.statistics import Figure, Separation, mean_of, separation, share_of
from dreamfoundry.records import Outcome
from dreamfoundry.toybox.captions import COLORS, KINDS, color_of, held_out_pairs, kind_of

Row = dict[str, Any]

SHARES: Mapping[str, str] = MappingProxyType(
    {
        "published": "published",
        "kind_correct": "kind right",
        "color_correct": "colour right",
        "is_second_front": "front shown twice, of the published kinds that have one",
    }
)
"""Titles in tables of what is yes or no in a row."""

MEANS: Mapping[str, str] = MappingProxyType(
    {
        "f_score_5_percent": "F-score at 5 % of the diagonal",
        "sphere_f_score_5_percent": "that of a plain sphere",
        "f_score_2_percent": "F-score at 2 % of the diagonal",
        "sphere_f_score_2_percent": "that of a plain sphere, at 2 %",
        "r_precision_color": "R-Precision with colour",
        "r_precision_geometry": "R-Precision of the shape alone",
        "hsv_saturation_error": "HSV saturation above the truth",
        "chroma_error": "CIELAB chroma above the truth",
        "flatness_ratio": "flatness ratio (1 is round)",
        "num_candidates": "candidates tried",
        "steps_spent": "steps spent",
    }
)
"""Titles in tables of the numbers of a row."""

HIGHER_IS_BETTER: Mapping[str, bool] = MappingProxyType(
    {
        "prompt_gain": True,
        "several_faces_share": False,
        "silhouette_iou": True,
        "view_color_error_mean": False,
        "flatness_ratio": True,
        "largest_component_area_share": True,
        "saturation_mean": False,
        "genus": False,
    }
)
"""Scores of a build that should tell good from bad, and their direction."""


def few_prompts() -> list[str]:
    """24 pairs that cover all kinds and colors; the last 8 were held out of training."""
    held_out = _held_out()
    unseen = held_out[1::3][:8]
    trained: list[tuple[str, str]] = []
    colors = list(COLORS)
    for index in range(len(KINDS) * 2):
        pair = (colors[(index * 7) % len(colors)], list(KINDS)[index % len(KINDS)])
        if len(trained) < 16 and pair not in held_out and pair not in trained:
            trained.append(pair)
    return [f"a {color} {kind}" for color, kind in trained + unseen]


def all_held_out_prompts() -> list[str]:
    """All 27 held-out pairs, after as many trained ones with the same kinds.

    A trained pair is a held-out one with the second colour after it, so that both halves ask every kind
    equally often: their difference is not one of kinds.
    """
    held_out, colors = _held_out(), list(COLORS)
    trained = [(colors[(colors.index(color) + 2) % len(colors)], kind) for color, kind in held_out]
    return [f"a {color} {kind}" for color, kind in trained + held_out]


def _held_out() -> list[tuple[str, str]]:
    """The held-out (color, kind) pairs, always in the same order."""
    return sorted(held_out_pairs(), key=lambda pair: (list(KINDS).index(pair[1]), list(COLORS).index(pair[0])))


@dataclass(frozen=True)
class DeliveredSurface:
    """Points spread evenly over a delivered surface in random order, and their albedo in [0, 1]."""

    points: Float[np.ndarray, "N 3"]
    colors: Float[np.ndarray, "N 3"]


def asset_row(text: str, seed: int, outcome: Outcome | None, surface: DeliveredSurface | None) -> Row:
    """The row of one asset. `surface` is None for what was not published.

    ValueError for a prompt that does not name a kind and a colour of the toybox.
    """
    kind, color = kind_of(text), color_of(text)
    if kind is None or color is None:
        raise ValueError(f"prompt {text!r}: must name a kind and a color of the toybox")

    # what an asset without a surface gets: wrong, or 0
    row: Row = {
        "prompt": text,
        "seed": seed,
        "kind": kind,
        "color": color,
        "held_out": (color, kind) in held_out_pairs(),
        "published": surface is not None,
        "sphere_f_score_5_percent": sphere_f_scores(kind)[0],
        "sphere_f_score_2_percent": sphere_f_scores(kind)[1],
        "f_score_5_percent": 0.0,
        "f_score_2_percent": 0.0,
        "kind_correct": False,
        "color_correct": False,
    }
    if outcome is not None:
        row |= {"scores": dict(outcome.scores), "failure_class": outcome.failure_class} | _costs(outcome)
    if surface is None:
        return {"failure_class": "missing"} | row

    shape, nearest_color = compare_surface(surface.points, kind), dominant_color(surface.colors)
    has_front = shape["is_second_front"] is not None
    saturation = saturation_error(surface.colors, kind, color)
    return (row | shape) | {
        "front_error_deg": abs((shape["yaw_deg"] + 180.0) % 360.0 - 180.0) if has_front else None,
        "nearest_color": nearest_color,
        "color_correct": nearest_color == color,
        "hsv_saturation_error": saturation.hsv,
        "chroma_error": saturation.chroma,
        "flatness_ratio": row.get("scores", {}).get("flatness_ratio"),
    }


def _costs(outcome: Outcome) -> Row:
    """Seconds, candidates and steps of an asset, as far as its provenance has them."""
    provenance: Mapping[str, Any] = outcome.provenance
    candidates = provenance.get("candidates")
    return {
        "optimize_s": provenance.get("optimize_s"),
        "num_candidates": None if candidates is None else len(candidates),
        "steps_spent": provenance.get("steps_spent"),
    }


def figures(rows: Sequence[Row], diversity: Mapping[str, float]) -> dict[str, Figure]:
    """Shares and means of `rows` with their intervals; `diversity` is by prompt."""
    by_name: dict[str, Figure | None] = {}
    for name in SHARES:
        by_name[name] = share_of([bool(row[name]) for row in _rows_with(rows, name)])
    for name in MEANS:
        having = _rows_with(rows, name)
        by_name[name] = mean_of([float(row[name]) for row in having], [row["prompt"] for row in having])
    prompts = [text for text in dict.fromkeys(row["prompt"] for row in rows) if text in diversity]
    by_name["diversity"] = mean_of([diversity[text] for text in prompts], prompts)
    return {name: figure for name, figure in by_name.items() if figure is not None}


def separations(rows: Sequence[Row]) -> dict[str, dict[str, Separation]]:
    """Power of a build's scores to predict the truth: by truth, then by score.

    Wrong is a kind that is not the one asked, and a front shown twice. Rows without the score are
    left out, and so are scores that no row has.
    """
    by_truth: dict[str, dict[str, Separation]] = {"kind_correct": {}, "is_second_front": {}}
    for name, higher_is_better in HIGHER_IS_BETTER.items():
        scored = [row for row in rows if name in row.get("scores", {})]
        splits = {"kind_correct": [(row, not row["kind_correct"]) for row in scored]}
        if name == "several_faces_share":
            splits["is_second_front"] = [(row, row["is_second_front"]) for row in _rows_with(scored, "is_second_front")]
        for truth, split in splits.items():
            wrong, right = (
                [row["scores"][name] for row, is_wrong in split if is_wrong is side] for side in (True, False)
            )
            result = separation(wrong, right, higher_is_better=higher_is_better)
            if result is not None:
                by_truth[truth][name] = result
    return {truth: by_score for truth, by_score in by_truth.items() if by_score}


def summary(rows: Sequence[Row], diversity: Mapping[str, float]) -> dict[str, Any]:
    """Content of JSON, tables and plot: figures of all, of both halves and of each kind."""
    splits = {
        "all": list(rows),
        "held_out": [row for row in rows if row["held_out"]],
        "trained": [row for row in rows if not row["held_out"]],
    }
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    return {
        "splits": {name: _split_figures(part, diversity) for name, part in splits.items() if part},
        "kinds": {kind: _split_figures(part, diversity) for kind, part in kinds.items() if part},
        "separations": {
            truth: {name: asdict(result) for name, result in by_score.items()}
            for truth, by_score in separations(rows).items()
        },
        "assets": list(rows),
    }


def _split_figures(rows: Sequence[Row], diversity: Mapping[str, float]) -> dict[str, Any]:
    errors_deg = [row["front_error_deg"] for row in _rows_with(rows, "front_error_deg")]
    times_s = [row["optimize_s"] for row in _rows_with(rows, "optimize_s")]
    return {
        "asked": len(rows),
        "figures": {name: asdict(figure) for name, figure in figures(rows, diversity).items()},
        "median_front_error_deg": median(errors_deg) if errors_deg else None,
        "median_optimize_s": median(times_s) if times_s else None,
    }


def _rows_with(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if row.get(name) is not None]
