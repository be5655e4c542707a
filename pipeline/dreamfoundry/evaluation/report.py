"""Markdown tables, a plot and a sheet of pictures of an evaluation.

The first two are made of `toys.summary`, the sheet of the rows in it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from dreamfoundry.evaluation.toys import MEANS, SHARES, Row

SPLITS: Mapping[str, str] = {"all": "all", "held_out": "held out", "trained": "trained"}
MEDIANS: Mapping[str, str] = {
    "median_front_error_deg": "degrees that the front is off, median",
    "median_optimize_s": "seconds to optimise, median",
}
NOTHING = "–"
BLUE, GREY = "#2f5d9b", "#8a8f98"


def markdown(summary: Mapping[str, Any]) -> str:
    """Three tables: figures of all and of both halves, of each kind, and what the build's scores predict.

    Before them stand the `command` and the `setting` of the summary, where it has them. Intervals are
    95 %: Wilson's of a share; of a mean from a bootstrap over prompts.
    """
    splits = {SPLITS[name]: part for name, part in summary["splits"].items()}
    parts = [f"```sh\n{summary['command']}\n```"] if "command" in summary else []
    parts += ["\n".join(f"- {key}: {value}" for key, value in summary.get("setting", {}).items())]
    parts += ["Figures with 95 % intervals; what was not published counts as wrong, or as 0.", _of_splits(splits)]
    parts.append(_of_kinds(summary["kinds"]))
    for truth, by_score in summary["separations"].items():
        parts.append(_of_scores(truth, by_score))
    if "clip" in summary:
        parts.append(f"R-Precision by {summary['clip']}, mean over views and assets.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _of_splits(splits: Mapping[str, Any]) -> str:
    rows = [["asked", *(str(part["asked"]) for part in splits.values())]]
    for name, title in {**SHARES, **MEANS, "diversity": "difference between seeds (0 is identical)"}.items():
        cells = [_cell(part["figures"].get(name)) for part in splits.values()]
        if set(cells) != {NOTHING}:
            rows.append([title, *cells])
    for name, title in MEDIANS.items():
        cells = [NOTHING if part[name] is None else f"{part[name]:.0f}" for part in splits.values()]
        if set(cells) != {NOTHING}:
            rows.append([title, *cells])
    return _table(["", *splits], rows)


def _of_kinds(kinds: Mapping[str, Any]) -> str:
    names = ("published", "kind_correct", "color_correct", "f_score_5_percent", "sphere_f_score_5_percent")
    rows = []
    for kind, part in kinds.items():
        figures = part["figures"]
        twice = figures.get("is_second_front")
        faces = NOTHING if twice is None else f"{twice['count']} of {twice['of']}"
        rows.append([kind, str(part["asked"]), *(_cell(figures.get(name), short=True) for name in names), faces])
    heads = ["kind", "asked", "published", "kind right", "colour right", "F-score at 5 %", "a sphere", "two fronts"]
    return _table(heads, rows)


def _of_scores(truth: str, by_score: Mapping[str, Any]) -> str:
    wrong = {"kind_correct": "kind wrong", "is_second_front": "front twice"}[truth]
    rows = [
        [
            f"`{name}`",
            f"{power['auc']:.2f}",
            f"{power['p_value']:.2g}",
            str(power["num_wrong"]),
            str(power["num_right"]),
        ]
        for name, power in sorted(by_score.items(), key=lambda item: -item[1]["auc"])
    ]
    return _table([f"score, against “{wrong}”", "wrong one has the worse score (AUC)", "p", "wrong", "right"], rows)


def _cell(figure: Mapping[str, Any] | None, *, short: bool = False) -> str:
    """A share in percent with its count, a mean with two decimals; each with its interval, unless `short`."""
    if figure is None:
        return NOTHING
    is_share, interval = figure["count"] is not None, figure["interval_95"]
    if short:
        return f"{figure['count']} of {figure['of']}" if is_share else f"{figure['value']:.2f}"
    if is_share:
        low, high = interval
        return f"{figure['value']:.0%} ({low:.0%} to {high:.0%}; {figure['count']} of {figure['of']})"
    decimals = 2 if abs(figure["value"]) < 100 else 0
    between = "" if interval is None else f" ({interval[0]:.{decimals}f} to {interval[1]:.{decimals}f})"
    return f"{figure['value']:.{decimals}f}{between}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def kind_plot(summary: Mapping[str, Any], path: Path) -> None:
    """F-score of each kind with the floor of a sphere, and share of right kinds, both with intervals, as PNG."""
    kinds = summary["kinds"]
    sheet = Figure(figsize=(8.0, 0.3 * len(kinds) + 1.6), dpi=130, layout="constrained")
    shapes, shares = sheet.subplots(1, 2, sharey=True)
    rows = range(len(kinds))
    floors = [part["figures"]["sphere_f_score_5_percent"]["value"] for part in kinds.values()]
    shapes.scatter(floors, rows, marker="|", s=120, color=GREY, zorder=2)

    for axes, name, title in (
        (shapes, "f_score_5_percent", "F-score at 5 % of the diagonal (grey: a sphere)"),
        (shares, "kind_correct", "share whose kind is right"),
    ):
        _with_intervals(axes, [part["figures"][name] for part in kinds.values()])
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_xlim(-0.02, 1.02)
        axes.grid(axis="x", color="#e6e8eb")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False, labelsize=8)

    shapes.set_yticks(list(rows), list(kinds))
    shapes.invert_yaxis()

    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(path)


def _with_intervals(axes: Axes, figures: Sequence[Mapping[str, Any]]) -> None:
    for row, figure in enumerate(figures):
        if figure["interval_95"] is not None:
            axes.plot(figure["interval_95"], (row, row), color=BLUE, alpha=0.35, linewidth=3, solid_capstyle="butt")
    axes.scatter([figure["value"] for figure in figures], range(len(figures)), color=BLUE, s=22, zorder=3)


def contact_sheet(rows: Sequence[Row], thumbnails: Sequence[bytes | None], path: Path) -> None:
    """All results in one picture, each with its prompt and its nearest toy; held-out ones have a star."""
    cell, columns = 128, 8
    sheet = Image.new("RGB", (columns * cell, math.ceil(len(rows) / columns) * (cell + 30)), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)

    for index, (row, thumbnail) in enumerate(zip(rows, thumbnails, strict=True)):
        x, y = index % columns * cell, index // columns * (cell + 30)
        if thumbnail is not None:
            picture = Image.open(io.BytesIO(thumbnail)).convert("RGBA").resize((cell, cell))
            sheet.paste(picture, (x, y), picture)

        good = row["kind_correct"] and row["color_correct"]
        draw.text((x + 4, y + cell), row["prompt"] + (" *" if row["held_out"] else ""), fill=(0, 0, 0))
        verdict = f"{row.get('nearest_color', '-')} {row.get('nearest_kind', row.get('failure_class', '-'))}"
        draw.text((x + 4, y + cell + 13), verdict, fill=(0, 120, 0) if good else (190, 0, 0))

    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
