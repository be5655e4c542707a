"""From judged fields to numbers with intervals. A row is a dictionary, one line of results.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median, stdev
from typing import Any

from scipy.stats import t as student

from dreamfoundry.toybox.scoring import wilson_interval

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A mean or a share of `count` values with its 95 % interval; None where they do not suffice."""

    count: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class VariantFigures:
    """One line of the table. Differences and ratios are to the first variant of the suite.

    `f_score_gain` is the difference at 5 % on the same prompts and seeds, `step_ratio` the median
    ratio of step times on those of the same run; `step_s` is the median per step and asset.
    """

    variant: str
    asked: int
    failed: int
    kind: Figure
    f_score_5_percent: Figure
    f_score_2_percent: Figure
    f_score_gain: Figure
    flatness_ratio: Figure
    second_fronts: Figure
    saturation: Figure
    saturation_excess: Figure
    step_s: float
    step_ratio: float | None


def share_of(flags: Sequence[bool]) -> Figure:
    """The share of true ones with Wilson's interval."""
    return Figure(len(flags), sum(flags) / len(flags), *wilson_interval(sum(flags), len(flags))) if flags else Figure(0)


def mean_of(values: Sequence[float], prompts: Sequence[str]) -> Figure:
    """The mean over prompts with Student's interval, from two prompts on.

    The seeds of one prompt are averaged first: they are no independent evidence.
    """
    by_prompt: dict[str, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        by_prompt.setdefault(prompt, []).append(value)
    means = [mean(own) for own in by_prompt.values()]
    if len(means) < 2:
        return Figure(len(values), *means)
    half = float(student.ppf(0.975, len(means) - 1)) * stdev(means) / math.sqrt(len(means))
    return Figure(len(values), mean(means), mean(means) - half, mean(means) + half)


def figures_of(rows: Sequence[Row], variants: Sequence[str]) -> list[VariantFigures]:
    """The table of a suite; variants without rows are left out."""
    reference = {_case(row): row for row in rows if row["variant"] == variants[0]}
    parted = {name: [row for row in rows if row["variant"] == name] for name in variants}
    return [_figures(name, own, reference) for name, own in parted.items() if own]


def _figures(name: str, rows: Sequence[Row], reference: Mapping[tuple[str, int], Row]) -> VariantFigures:
    pairs = [(row, reference[_case(row)]) for row in rows if _case(row) in reference]
    ratios = [row["step_s"] / other["step_s"] for row, other in pairs if row["run"] == other["run"]]
    made = [row for row in rows if row["failure"] is None]

    def mean_over(some: Sequence[Row], values: Sequence[float]) -> Figure:
        return mean_of(values, [row["prompt"] for row in some])

    return VariantFigures(
        variant=name,
        asked=len(rows),
        failed=len(rows) - len(made),
        kind=share_of([row["kind_correct"] for row in rows]),
        f_score_5_percent=mean_over(rows, [row["f_score_5_percent"] for row in rows]),
        f_score_2_percent=mean_over(rows, [row["f_score_2_percent"] for row in rows]),
        f_score_gain=mean_over(
            [row for row, _ in pairs], [row["f_score_5_percent"] - other["f_score_5_percent"] for row, other in pairs]
        ),
        flatness_ratio=mean_over(made, [row["flatness_ratio"] for row in made]),
        second_fronts=share_of([row["is_second_front"] for row in made if row["is_second_front"] is not None]),
        saturation=mean_over(made, [row["saturation"] for row in made]),
        saturation_excess=mean_over(made, [row["saturation"] - row["true_saturation"] for row in made]),
        step_s=median(row["step_s"] for row in rows),
        step_ratio=median(ratios) if ratios else None,
    )


def _case(row: Row) -> tuple[str, int]:
    return row["prompt"], row["seed"]
