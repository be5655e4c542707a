"""The least time of a step follows from counted work; the table in docs/benchmarks has what the code predicts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.random_weights import ARCHITECTURES
from dreamfoundry.evaluation.benchmark.ceilings import prior_flop
from dreamfoundry.evaluation.benchmark.roofline import (
    H100,
    Ceilings,
    PriorFlop,
    Roofline,
    count_prior_flop,
    measured_roofline,
    roofline_on,
)
from dreamfoundry.settings.loading import bundled_recipe
from dreamfoundry.settings.recipe import Recipe

PAGE = Path(__file__).parents[4] / "docs" / "benchmarks" / "README.md"

EMBED_WIDTHS = {"sd21": 1024, "if-m": 4096, "if-xl": 4096}


def flop_on_paper(architecture: str) -> PriorFlop:
    """The work of a real architecture, without one of its weights."""
    prior = ARCHITECTURES[architecture]("meta", torch.float16, engine="eager")
    return count_prior_flop(prior, torch.zeros(1, 77, EMBED_WIDTHS[architecture], device="meta", dtype=torch.float16))


def test_the_least_step_is_the_work_over_the_pace() -> None:
    roofline = Roofline(Ceilings(100.0 / 0.63, 8.0), PriorFlop(10.0, 20.0, 20.0), views_per_step=2, slot_bytes=4)
    assert roofline.prior_s(4, computes_twice=False) == pytest.approx(8 * 50.0 / 100.0)
    assert roofline.prior_s(4, computes_twice=True) == pytest.approx(8 * 70.0 / 100.0)
    assert roofline.step_s(4, computes_twice=False) == pytest.approx(8 * 50.0 / 100.0 + 4 * 4 / 8.0)


def test_the_work_of_a_picture_is_that_of_the_whole_prior(ball_recipe: Recipe) -> None:
    prior = load_prior(ball_recipe.prior, dtype=torch.float32)
    flop = count_prior_flop(prior, prior.encode_prompts(["a ball"]))
    whole = prior_flop(prior, 1, 2, prior.picture_px)
    assert flop.picture_flop(computes_twice=False) == pytest.approx(whole)
    assert flop.predict_flop > 0


def test_a_device_is_measured_and_more_slots_take_longer(ball_recipe: Recipe) -> None:
    prior = load_prior(ball_recipe.prior, dtype=torch.float32)
    roofline = measured_roofline(prior, ball_recipe, "cpu")
    assert 0.0 < roofline.step_s(1, computes_twice=False) < roofline.step_s(2, computes_twice=False)


def _rows() -> Iterator[tuple[str, list[str]]]:
    """Name and cells of each row of the table of predictions."""
    table = PAGE.read_text(encoding="utf-8").split("\n## Goals on a GPU")[1].split("\n## ")[0]
    for line in table.splitlines():
        match = re.match(r"\| .*`([\w-]+)` \|(.*)\|$", line)
        if match:
            yield match[1], [cell.strip() for cell in match[2].split("|")]


ROWS = dict(_rows())


@pytest.mark.parametrize("architecture", EMBED_WIDTHS)
def test_the_table_of_goals_has_what_the_code_predicts(architecture: str) -> None:
    flop = flop_on_paper(architecture)
    roofline = roofline_on(H100, flop, bundled_recipe("dreamfusion_hash"))
    picture_flop = flop.picture_flop(computes_twice=False)
    least_s = roofline.prior_s(1, computes_twice=False) / roofline.views_per_step
    assert ROWS[architecture][:2] == [f"{picture_flop / 1e12:.2f}", f"{1000 * least_s:.1f}"]
