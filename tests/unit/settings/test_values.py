"""Ramps: linear between two fractions of the run, flat outside, refused where they cannot be meant."""

import pytest

from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.values import Ramp, constant


def test_a_ramp_is_flat_outside_its_fractions_and_linear_between() -> None:
    ramp = Ramp(1.0, 3.0, 0.25, 0.75)

    assert [ramp.at(progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1.0, 1.0, 2.0, 3.0, 3.0]


def test_a_constant_has_its_value_at_every_step() -> None:
    assert {constant(0.3).at(progress) for progress in (0.0, 0.4, 1.0)} == {0.3}


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.6, 0.4), (-0.1, 1.0), (0.0, 1.1)])
def test_a_ramp_that_does_not_rise_within_the_run_is_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="must be fractions of the run, 0 <= from < until <= 1"):
        Ramp(0.0, 1.0, *fractions)
