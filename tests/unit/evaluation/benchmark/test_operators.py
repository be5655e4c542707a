"""A profile names what takes the time, and the share of it in which a GPU does nothing."""

import pytest

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.evaluation.benchmark.measure import Loop, slots_case
from dreamfoundry.evaluation.benchmark.operators import idle_share, profile_steps, waits_of_a_step
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

SMALL = with_overrides(
    Recipe(), {"render.image_px": 8, "render.samples_per_ray": 4, "field.level_resolutions": [4], "render.later": []}
)


@pytest.mark.parametrize(
    ("spans", "share"),
    [
        ([(0.0, 1.0), (1.0, 2.0)], 0.0),
        ([(0.0, 1.0), (3.0, 4.0)], 0.5),
        ([(3.0, 4.0), (0.0, 2.0), (1.0, 1.5)], 0.25),  # in any order, one within another
    ],
)
def test_idle_is_the_time_that_no_kernel_covers(spans: list[tuple[float, float]], share: float) -> None:
    assert idle_share(spans) == pytest.approx(share)


def test_the_operators_of_a_step_are_named_dearest_first() -> None:
    loop = Loop(slots_case(1), AnalyticPrior(8), SMALL)
    found = profile_steps(loop, num_steps=1, most=100)

    shares = [row["share"] for row in found.operators]
    assert shares == sorted(shares, reverse=True)
    assert 0.0 < sum(shares) <= 1.0
    assert "mm" in " ".join(row["name"] for row in found.operators)
    assert found.idle_share is None, "a CPU has no kernels of its own"
    assert waits_of_a_step(loop) == {}
