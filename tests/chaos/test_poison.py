"""A prompt that kills every process it is in, and what happens to those beside it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from dreamfoundry.diffusion.weights import prior_identity
from dreamfoundry.identity import field_key
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.records import Prompt
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.recipe import Recipe
from support.processes import actor_pid, wait_until
from support.runs import checkpoints, running_build

NUM_STEPS = 300

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_21_a_prompt_that_crashes_its_process_is_quarantined_after_three_deaths_alone_and_nobody_else_is_charged(
    ray_cluster: Any,
    s3_url: str,
    write_manifest: Callable[..., str],
    ball_recipe: Recipe,
    tiny_profile: ExportProfile,
) -> None:
    recipe = replace(ball_recipe, optimize=replace(ball_recipe.optimize, num_steps=NUM_STEPS))
    request = RunRequest(
        write_manifest(prompt_id=["good", "poison", "fine"], prompt=["a good ball", "a poison", "a fine ball"]),
        f"{s3_url}/poison",
        recipe,
        tiny_profile,
        num_slots=3,
        limits=Limits(slice_s=0.3, checkpoint_s=0.3),
    )
    poison = field_key(Prompt("poison", "a poison"), recipe, prior_identity(recipe.prior))
    store = open_store(request.library)
    deaths = 0
    with running_build(request) as run:
        while not run.done() and deaths < 10:
            before = checkpoints(store).get(poison)

            def goes_on(before: tuple[int, int] | None = before) -> bool:
                return run.done() or checkpoints(store).get(poison, before) != before

            wait_until(goes_on, "the poison is in a slot and moves, or the run is over")
            if not run.done():
                with suppress(LookupError):  # that distiller is not there yet, or no more
                    os.kill(actor_pid(ray_cluster, f"distiller-0/{deaths + 1}"), signal.SIGSEGV)
                    deaths += 1
        assert run.result(timeout=200).report.status == "partial"

    assert deaths == 4, "one in company, three alone"
    outcomes = {outcome.prompt_id: outcome for outcome in Library(store).outcomes()}
    assert outcomes["poison"].failure_class == "worker_died"
    assert outcomes["poison"].tries == 3
    assert {outcomes[name].state for name in ("good", "fine")} == {"published"}
    assert {outcomes[name].tries for name in ("good", "fine")} == {1}
