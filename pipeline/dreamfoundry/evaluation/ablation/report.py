"""Markdown page of a suite, a plot of its figures, and a sheet of all pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from dreamfoundry.evaluation.ablation.figures import Row, VariantFigures
from dreamfoundry.evaluation.ablation.suites import Suite
from dreamfoundry.evaluation.statistics import Figure
from dreamfoundry.identity import recipe_digest

DIGEST_CHARS = 12
"""Characters of a digest that a table shows."""

STRIP_PX = (256, 64)
"""Width and height of the pictures of one asset on the sheet."""

LABEL_PX = 16

STEP_TITLE = "step, ms per asset"

_COLUMNS = (
    ("kind right", "kind", "{:.0%}"),
    ("F-score at 5 %", "f_score_5_percent", "{:.2f}"),
    ("F-score at 2 %", "f_score_2_percent", "{:.2f}"),
    ("F-score at 5 %, gain", "f_score_gain", "{:+.3f}"),
    ("flatness ratio", "flatness_ratio", "{:.2f}"),
    ("second fronts", "second_fronts", "{:.0%}"),
    ("saturation above the true toy", "saturation_error", "{:+.2f}"),
    ("difference between seeds", "diversity", "{:.3f}"),
)

_PANELS = ("kind", "f_score_5_percent", "flatness_ratio", "second_fronts", "saturation_error")
"""The figures that are plotted, and the step time after them."""


def markdown(suite: Suite, figures: Sequence[VariantFigures], setting: Mapping[str, str], command: str) -> str:
    """The page of a suite: question, command line, setting and figures.

    Plot and sheet lie beside it as SUITE.png and SUITE_fields.png.
    """
    titles = ["variant", "asked", "no surface", *(title for title, _, _ in _COLUMNS), STEP_TITLE, "ratio of steps"]
    table = [titles, ["---", *["--:"] * (len(titles) - 1)], *(_line(row) for row in figures)]

    recipes = [["variant", "why", "changes", "recipe"], ["---"] * 4]
    for variant in suite.variants:
        digest = recipe_digest(variant.recipe)[:DIGEST_CHARS]
        recipes.append([variant.name, variant.why, f"`{variant.changes}`" if variant.changes else "", f"`{digest}`"])

    parts = [
        f"# Ablation: {suite.name}",
        suite.about,
        f"```sh\n{command}\n```",
        "\n".join(f"- {key}: {value}" for key, value in setting.items()),
        _rows(table),
        "Brackets are 95 % intervals: Wilson's for shares, bootstraps over prompts for means. Gains are differences to "
        "the first variant on the same prompts and seeds, ratios the medians of those measured in the same run. "
        "Second fronts count only kinds with a front; what has no surface counts as a wrong kind and an F-score of 0.",
        _rows(recipes),
        f"![Plot]({suite.name}.png)",
        f"![Fields]({suite.name}_fields.png)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _line(row: VariantFigures) -> list[str]:
    cells = [format_figure(getattr(row, key), form) for _, key, form in _COLUMNS]
    ratio = "" if row.step_ratio is None else f"{row.step_ratio:.2f}"
    return [row.variant, str(row.asked), str(row.failed), *cells, f"{1000 * row.step_s:.0f}", ratio]


def format_figure(figure: Figure | None, form: str) -> str:
    """A figure as text: value, interval in brackets, and the counts of a share."""
    if figure is None:
        return ""
    text = form.format(figure.value)
    if figure.interval_95 is not None:
        text += f" ({' to '.join(map(form.format, figure.interval_95))})"
    return text if figure.count is None else f"{text}, {figure.count} of {figure.of}"


def _rows(cells: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in cells)


def plot(suite: Suite, figures: Sequence[VariantFigures], path: Path) -> None:
    """Every figure in a panel of its own: over the axis of the suite, or one line per variant."""
    from matplotlib.figure import Figure as Sheet

    titles = {key: title for title, key, _ in _COLUMNS}
    measured = [(titles[key], [getattr(row, key) for row in figures]) for key in _PANELS]
    measured.append((STEP_TITLE, [Figure(1000 * row.step_s, None, row.asked) for row in figures]))

    names, numbers = [variant.name for variant in suite.variants], suite.axis_values()
    places = dict(zip(names, range(len(names)) if numbers is None else numbers, strict=True))
    height = 3.2 if numbers is not None else 1.2 + 0.3 * len(names)

    sheet = Sheet(figsize=(2.6 * len(measured), height), layout="constrained")
    for panel, (title, column) in zip(sheet.subplots(1, len(measured), sharey=numbers is None), measured, strict=True):
        placed = [(places[row.variant], figure) for row, figure in zip(figures, column, strict=True)]
        known = sorted((place, *_with_errors(figure)) for place, figure in placed if figure is not None)
        at, values, below, above = zip(*known, strict=True) if known else ((), (), (), ())
        panel.set_title(title, fontsize=9)
        panel.grid(alpha=0.3)
        if numbers is not None:
            panel.errorbar(at, values, yerr=[below, above], fmt="o-", capsize=3)
            panel.set_xscale("log")
            panel.set_xlabel(suite.axis, fontsize=8)
        else:
            panel.errorbar(values, at, xerr=[below, above], fmt="o", capsize=3)
            panel.set_yticks(range(len(names)), names, fontsize=8)
            panel.set_ylim(len(names) - 0.5, -0.5)
    sheet.savefig(path, dpi=100)


def _with_errors(figure: Figure) -> tuple[float, float, float]:
    """Value, and the lengths of its interval below and above; 0 without an interval."""
    below, above = (abs(end - figure.value) for end in figure.interval_95 or (figure.value, figure.value))
    return figure.value, below, above


def picture_sheet(suite: Suite, rows: Sequence[Row], pictures: Path, path: Path) -> None:
    """Prompts down, variants across; a correct kind has a green label."""
    variants = [variant.name for variant in suite.variants]
    cases = list(dict.fromkeys((row["prompt"], row["seed"]) for row in rows))
    width, height = STRIP_PX[0] + 4, STRIP_PX[1] + LABEL_PX
    sheet = Image.new("RGB", (width * len(variants), height * max(1, len(cases))), "white")
    draw = ImageDraw.Draw(sheet)

    for row in rows:
        x, y = variants.index(row["variant"]) * width, cases.index((row["prompt"], row["seed"])) * height
        if row["picture"]:
            sheet.paste(Image.open(pictures / row["picture"]).resize(STRIP_PX), (x, y + LABEL_PX))
        text = f"{row['variant']}: {row['prompt']} -> {row['nearest_kind']} {row['f_score_5_percent']:.2f}"
        draw.text((x + 2, y + 2), text, fill="darkgreen" if row["kind_correct"] else "firebrick")
    sheet.save(path)
