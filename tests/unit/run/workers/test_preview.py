"""A preview makes the same asset as a build of the same prompt."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamfoundry.errors import PromptFailure
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Prompt
from dreamfoundry.run.build import build_library
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.workers.preview import PreviewRequest, PreviewStatus, make_preview
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe


def test_the_files_are_those_of_a_build(
    ball_recipe: Recipe, tiny_profile: ExportProfile, write_manifest: Callable[..., str], tmp_path: Path
) -> None:
    told: list[PreviewStatus] = []
    files = make_preview(
        PreviewRequest(Prompt("any", "a ball", target_height_m=0.22), ball_recipe, tiny_profile), told.append
    )
    manifest = write_manifest(prompt_id=["one"], prompt=["a ball"])
    request = RunRequest(manifest, str(tmp_path / "library"), ball_recipe, tiny_profile, num_slots=1, use_ray=False)
    build_library(request, io.StringIO())
    library = Library(DirectoryStore(tmp_path / "library"))
    (outcome,) = library.outcomes()

    assert set(files.contents) == set(outcome.files)
    assert {files.glb, files.picture} <= set(files.contents)
    timed = {"asset.json"}
    for name in set(files.contents) - timed:
        assert files.contents[name] == library.get_blob(outcome.files[name]), name

    num_steps = ball_recipe.optimize.num_steps
    steps = [(status.steps_done, status.steps_left) for status in told if status.phase == "distil"]
    assert steps == [(done, num_steps - done) for done in range(num_steps)]
    assert [told[0].phase, told[-1].phase, told[-1].stage] == ["load", "export", "quality"]


def test_a_prompt_that_comes_to_nothing_is_raised(ball_recipe: Recipe, tiny_profile: ExportProfile) -> None:
    hopeless = with_overrides(ball_recipe, {"optimize.table_rate": 1e30, "optimize.head_rate": 1e30})
    with pytest.raises(PromptFailure):
        make_preview(PreviewRequest(Prompt("any", "a ball"), hopeless, tiny_profile))
