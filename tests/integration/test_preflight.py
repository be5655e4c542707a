"""A run on a cluster tries out where a distiller would run how many slots fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dreamfoundry.errors import PriorUnavailable
from dreamfoundry.run.messages import Died, SlotsFit, WorkerSettings
from dreamfoundry.run.ray.workers import first_fit, slots_that_fit
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe


def test_a_node_says_how_many_slots_fit_or_why_none(ray_cluster: Any, ball_recipe: Recipe) -> None:
    identity = PriorIdentity("tiny-if", "", "0" * 64, "Apache-2.0")
    settings = WorkerSettings("", ball_recipe.prior, identity, "cpu", num_threads=1)
    assert slots_that_fit(settings, ball_recipe, 2) in (SlotsFit(1), SlotsFit(2))
    with pytest.raises(PriorUnavailable, match=r"prior.digest = '0+', but the weights in"):
        slots_that_fit(replace(settings, prior=replace(ball_recipe.prior, digest="0" * 64)), ball_recipe, 2)


class Cluster:
    """Nodes that are asked in turn until they are drained; the GPU of those named `broken…` is gone."""

    def __init__(self, *nodes: str) -> None:
        self.nodes = list(nodes)
        self.asked: list[str] = []

    def try_out(self) -> tuple[str, SlotsFit | Died]:
        node = self.nodes[0]
        self.asked.append(node)
        return node, Died(f"no GPU on {node}", "device") if node.startswith("broken") else SlotsFit(4)


def test_45_slots_are_tried_out_elsewhere_when_the_gpu_of_a_node_is_gone() -> None:
    cluster = Cluster("broken", "well")
    assert first_fit(cluster.try_out, cluster.nodes.remove) == SlotsFit(4)
    assert cluster.asked == ["broken", "broken", "well"]


def test_where_no_gpu_can_be_used_the_run_ends_with_the_cause() -> None:
    cluster = Cluster("broken-1", "broken-2", "broken-3")
    with pytest.raises(PriorUnavailable, match="no GPU on broken-2"):
        first_fit(cluster.try_out, cluster.nodes.remove)
    assert cluster.asked == ["broken-1", "broken-1", "broken-2"]
