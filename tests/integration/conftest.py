"""Requests for whole runs of tiny prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dreamfoundry.run.request import RunRequest
    from dreamfoundry.settings.export_profiles import ExportProfile
    from dreamfoundry.settings.recipe import Recipe


@pytest.fixture
def request_of(
    write_manifest: Callable[..., str], ball_recipe: Recipe, tiny_profile: ExportProfile, tmp_path: Path
) -> Callable[..., RunRequest]:
    """A request for the given prompts; without Ray into a directory if nothing else is said."""

    from dreamfoundry.run.request import RunRequest  # after jaxtyping watches the package

    def make(names: list[str], prompts: list[str | None] | None = None, **changes: Any) -> RunRequest:
        manifest = write_manifest(prompt_id=names, prompt=prompts or [f"a ball {name}" for name in names])
        basic = RunRequest(manifest, str(tmp_path / "library"), ball_recipe, tiny_profile, use_ray=False)
        return replace(basic, **changes)

    return make
