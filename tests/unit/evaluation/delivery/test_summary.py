"""Figures over delivered assets: medians and extremes of what is known."""

import statistics

from dreamfoundry.evaluation.delivery.summary import spread


def test_the_median_and_both_ends_are_over_all_assets() -> None:
    values = [0.9, 0.5, 0.72, 0.6]

    assert spread(iter(values)) == {"median": statistics.median(values), "lowest": 0.5, "highest": 0.9}


def test_values_that_are_not_known_are_left_out() -> None:
    assert spread([None, 0.5]) == {"median": 0.5, "lowest": 0.5, "highest": 0.5}
    assert spread([None]) is None
