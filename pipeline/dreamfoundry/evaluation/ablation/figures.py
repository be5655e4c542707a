"""Figures of variants with intervals. A row is a dictionary, one line of results.jsonl."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from dreamfoundry.evaluation.statistics import Figure, mean_of, share_of

Row = Mapping[str, Any]


@dataclass(frozen=True)
class VariantFigures:
    """One line of the table; None where nothing was measured.

    Means are over fields, their intervals over prompts. `f_score_gain` is the difference to the first
    variant of the suite at 5 %, on the same prompts and seeds; `step_ratio` the median ratio to its
    step times, on those of the same run; `step_s` the median per step and asset.
    """

    variant: str
    asked: int
    failed: int
    kind: Figure | None
    f_score_5_percent: Figure | None
    f_score_2_percent: Figure | None
    f_score_gain: Figure | None
    flatness_ratio: Figure | None
    second_fronts: Figure | None
    saturation_error: Figure | None
    diversity: Figure | None
    step_s: float
    step_ratio: float | None


def figures_of(
    rows: Sequence[Row], variants: Sequence[str], diversity: Mapping[tuple[str, str], float]
) -> list[VariantFigures]:
    """The table of a suite; variants without rows are left out. `diversity` is by variant and prompt."""
    reference = {_case(row): row for row in rows if row["variant"] == variants[0]}
    by_variant = {name: [row for row in rows if row["variant"] == name] for name in variants}
    return [_figures(name, own, reference, diversity) for name, own in by_variant.items() if own]


def _figures(
    name: str,
    rows: Sequence[Row],
    reference: Mapping[tuple[str, int], Row],
    diversity: Mapping[tuple[str, str], float],
) -> VariantFigures:
    def mean_over(chosen: Sequence[Row], value: Callable[[Row], float]) -> Figure | None:
        return mean_of([value(row) for row in chosen], [row["prompt"] for row in chosen])

    finished = [row for row in rows if row["failure"] is None]
    paired = [row for row in rows if _case(row) in reference]
    ratios = [
        row["step_s"] / reference[_case(row)]["step_s"] for row in paired if row["run"] == reference[_case(row)]["run"]
    ]

    differences = [(value, prompt) for (variant, prompt), value in diversity.items() if variant == name]
    return VariantFigures(
        variant=name,
        asked=len(rows),
        failed=len(rows) - len(finished),
        kind=share_of([row["kind_correct"] for row in rows]),
        f_score_5_percent=mean_over(rows, lambda row: row["f_score_5_percent"]),
        f_score_2_percent=mean_over(rows, lambda row: row["f_score_2_percent"]),
        f_score_gain=mean_over(
            paired, lambda row: row["f_score_5_percent"] - reference[_case(row)]["f_score_5_percent"]
        ),
        flatness_ratio=mean_over(finished, lambda row: row["flatness_ratio"]),
        second_fronts=share_of([row["is_second_front"] for row in finished if row["is_second_front"] is not None]),
        saturation_error=mean_over(finished, lambda row: row["saturation_error"]),
        diversity=mean_of(*zip(*differences, strict=True)) if differences else None,
        step_s=median(row["step_s"] for row in rows),
        step_ratio=median(ratios) if ratios else None,
    )


def _case(row: Row) -> tuple[str, int]:
    return row["prompt"], row["seed"]
