"""Intervals of shares and means, and the power of a score to tell wrong from right.

Dimension key:  N results
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu

Interval = tuple[float, float]

NUM_RESAMPLES = 2_000


def wilson_interval(successes: int, total: int) -> Interval:
    """95 % confidence interval of a share (Wilson 1927)."""
    z, share = 1.96, successes / total
    center = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, center - half), min(1.0, center + half)


def mean_interval(values: Sequence[float], groups: Sequence[str]) -> Interval | None:
    """95 % bootstrap interval of a mean (percentiles); None if there are fewer than two groups.

    Groups are drawn, not values: the seeds of one prompt are no independent evidence.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return None
    sums, counts = (np.bincount(member, weights=weights) for weights in (np.asarray(values, float), None))
    chosen = np.random.default_rng(0).integers(len(names), size=(NUM_RESAMPLES, len(names)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


@dataclass(frozen=True)
class Figure:
    """A share or a mean over `of` results; `count` is how many a share counted, None for a mean."""

    value: float
    interval_95: Interval | None
    of: int
    count: int | None = None


def share_of(flags: Sequence[bool]) -> Figure | None:
    """Share of the flags that are set; None where there are none."""
    if not flags:
        return None
    return Figure(sum(flags) / len(flags), wilson_interval(sum(flags), len(flags)), len(flags), sum(flags))


def mean_of(values: Sequence[float], groups: Sequence[str]) -> Figure | None:
    """Mean of the values, whose seeds share a group; None where there are none."""
    if not values:
        return None
    return Figure(float(np.mean(values)), mean_interval(values, groups), len(values))


@dataclass(frozen=True)
class Separation:
    """`auc`: how likely a wrong result has the worse score than a right one (0.5 is chance, ties are half).

    `p_value` is that of Mann and Whitney (1947), two-sided, that a score says nothing.
    """

    auc: float
    p_value: float
    num_wrong: int
    num_right: int


def separation(wrong: Sequence[float], right: Sequence[float], *, higher_is_better: bool) -> Separation | None:
    """Power of a score to tell the wrong from the right ones; None without at least one of each."""
    if not wrong or not right:
        return None
    better, worse = (right, wrong) if higher_is_better else (wrong, right)
    test = mannwhitneyu(better, worse)
    auc = float(test.statistic) / (len(wrong) * len(right))
    return Separation(auc, float(test.pvalue), len(wrong), len(right))
