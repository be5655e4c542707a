"""Learning rates over a run: a warm-up, then a fall to the final share."""

from __future__ import annotations

import numpy as np
import pytest

from dreamfoundry.distill.lr_schedule import lr_multiplier
from dreamfoundry.settings.distillation import OptimizeConfig

OPTIMIZE = OptimizeConfig(num_steps=100, warmup_fraction=0.1)


def test_a_rate_warms_up_and_then_falls_to_its_final_share() -> None:
    shares = [lr_multiplier(OPTIMIZE, step) for step in range(100)]

    assert np.argmax(shares) in range(8, 13)
    assert shares[0] < 0.2
    assert max(shares) <= 1.0
    assert shares[-1] == pytest.approx(0.01, abs=1e-3)
