"""The learning rate of a step."""

import pytest

from dreamfoundry.toybox.training.config import TrainingConfig


def test_the_learning_rate_warms_up_linearly_and_decays_to_two_percent() -> None:
    config = TrainingConfig(num_steps=1000, warmup_steps=100, learning_rate=1.0)

    assert config.learning_rate_at(0) == pytest.approx(0.01)
    assert config.learning_rate_at(49) == pytest.approx(0.5)
    assert config.learning_rate_at(100) == pytest.approx(1.0)
    assert config.learning_rate_at(550) == pytest.approx(0.51)
    assert config.learning_rate_at(1000) == pytest.approx(0.02)


def test_with_a_time_limit_the_learning_rate_falls_with_the_clock_and_not_with_the_steps() -> None:
    config = TrainingConfig(num_steps=1000, warmup_steps=100, learning_rate=1.0, time_limit_s=60.0)

    assert config.learning_rate_at(49, trained_s=1.0) == pytest.approx(0.5), "still warming up"
    assert config.learning_rate_at(550, trained_s=0.0) == pytest.approx(1.0)
    assert config.learning_rate_at(550, trained_s=30.0) == pytest.approx(0.51)
    assert config.learning_rate_at(550, trained_s=60.0) == config.learning_rate_at(9999, trained_s=70.0)
    assert config.learning_rate_at(550, trained_s=60.0) == pytest.approx(0.02)
