"""Numbers of a report in their formats."""

from dreamfoundry.evaluation.delivery.measures import Measure

SPREAD = {"median": 0.66, "lowest": 0.5, "highest": 0.9}


def test_a_measure_shows_its_worse_end_or_both() -> None:
    assert Measure("share", "{:.1f}", 100.0, "lowest").format_spread(SPREAD) == "66.0 (50.0)"
    assert Measure("share", "{:.1f}").format_spread(SPREAD) == "0.7 (0.5 to 0.9)"


def test_a_number_that_is_not_known_is_a_dash() -> None:
    assert Measure("share").format_spread(None) == "–"
