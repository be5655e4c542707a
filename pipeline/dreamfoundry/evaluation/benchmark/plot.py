"""Bar chart of a comparison: seconds of a step per asset, by part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from dreamfoundry.evaluation.benchmark.measurements import Figures

PARTS = (("prior_s", "frozen prior"), ("optimizer_s", "optimizer"), ("rest_s", "field, renderer, bookkeeping"))


def step_plot(figures: Mapping[str, Figures], path: Path) -> None:
    """Draw the figures of every case as one bar each, as PNG."""
    figure = Figure(figsize=(8, 0.6 + 0.55 * len(figures)), layout="constrained")
    axes = figure.subplots()
    names = list(figures)
    left = [0.0] * len(names)
    for key, label in PARTS:
        values = [figures[name][key] for name in names]
        axes.barh(names, values, left=left, label=label)
        left = [start + value for start, value in zip(left, values, strict=True)]

    for index, total in enumerate(left):
        axes.text(total, index, f" {total:.3f} s", va="center")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds per step and asset")
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
