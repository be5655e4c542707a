"""Intervals and the power of a score to tell wrong from right, against slow twins."""

import numpy as np
import pytest

from dreamfoundry.evaluation.statistics import Figure, mean_interval, mean_of, separation, share_of, wilson_interval


def test_the_interval_of_a_share_is_wilsons() -> None:
    low, high = wilson_interval(7, 24)

    assert (low, high) == pytest.approx((0.149, 0.492), abs=1e-3)  # (p + z2/2n +- z sqrt(..)) / (1 + z2/n) by hand


def test_the_interval_of_a_mean_is_about_two_standard_errors() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 100).tolist()
    interval = mean_interval(values, [str(index) for index in range(100)])
    assert interval is not None
    low, high = interval
    error = np.std(values) / 10.0

    assert (low, high) == pytest.approx((np.mean(values) - 1.96 * error, np.mean(values) + 1.96 * error), abs=0.1)


def test_repeating_the_results_of_a_prompt_makes_its_mean_no_surer() -> None:
    values, groups = [0.1, 0.5, 0.6, 0.9], ["a", "b", "c", "d"]

    assert mean_interval(values * 2, groups * 2) == pytest.approx(mean_interval(values, groups))


def test_one_prompt_has_no_interval() -> None:
    assert mean_interval([0.2, 0.4], ["a", "a"]) is None


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_area_is_the_share_of_pairs_in_which_the_wrong_one_is_worse(higher_is_better: bool) -> None:
    rng = np.random.default_rng(2)
    wrong, right = rng.integers(0, 6, 15).astype(float).tolist(), rng.integers(2, 8, 20).astype(float).tolist()
    sign = 1 if higher_is_better else -1
    pairs = [np.sign(sign * (good - bad)) * 0.5 + 0.5 for bad in wrong for good in right]

    found = separation(wrong, right, higher_is_better=higher_is_better)

    assert found is not None
    assert found.auc == pytest.approx(np.mean(pairs))
    assert (found.num_wrong, found.num_right) == (15, 20)
    assert (found.p_value < 0.05) == (abs(found.auc - 0.5) > 0.2)


def test_without_a_wrong_or_a_right_one_nothing_is_said() -> None:
    assert separation([], [0.5], higher_is_better=True) is None
    assert separation([0.5], [], higher_is_better=True) is None


def test_figures_say_over_how_many_results_they_are() -> None:
    assert share_of([True, False, True, True]) == Figure(0.75, wilson_interval(3, 4), 4, 3)
    assert mean_of([1.0, 2.0], ["a", "b"]) == Figure(1.5, mean_interval([1.0, 2.0], ["a", "b"]), 2)
    assert share_of([]) is None
    assert mean_of([], []) is None
