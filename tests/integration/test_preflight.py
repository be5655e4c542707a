"""A run on a cluster tries out where a distiller would run how many slots fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dreamfoundry.errors import PriorUnavailable
from dreamfoundry.records import PriorIdentity
from dreamfoundry.run.messages import SlotsFit, WorkerSettings
from dreamfoundry.run.ray.workers import slots_that_fit
from dreamfoundry.settings.recipe import Recipe


def test_a_node_says_how_many_slots_fit_or_why_none(ray_cluster: Any, ball_recipe: Recipe) -> None:
    identity = PriorIdentity("tiny-if", "", "0" * 64, "Apache-2.0")
    settings = WorkerSettings("", ball_recipe.prior, identity, "cpu", num_threads=1)
    assert slots_that_fit(settings, ball_recipe, 2) in (SlotsFit(1), SlotsFit(2))
    with pytest.raises(PriorUnavailable, match=r"prior.digest = '0+', but the weights in"):
        slots_that_fit(replace(settings, prior=replace(ball_recipe.prior, digest="0" * 64)), ball_recipe, 2)
