"""Fixtures of the tests of priors: tiny ones from the folders of `tests/conftest.py`.

pytest reads this file before jaxtyping can watch the package, so the package is imported inside
the fixtures only.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dreamfoundry.diffusion.prior import ScorePrior


@pytest.fixture(scope="module")
def latent(tiny_stable_diffusion_folder: Path) -> ScorePrior:
    import torch

    from dreamfoundry.diffusion.loading import load_prior
    from support.prior_folders import config_of

    return load_prior(config_of(tiny_stable_diffusion_folder), dtype=torch.float32)


@pytest.fixture(scope="module")
def pixel(tiny_deepfloyd_folder: Path) -> ScorePrior:
    import torch

    from dreamfoundry.diffusion.loading import load_prior
    from support.prior_folders import config_of

    return load_prior(config_of(tiny_deepfloyd_folder), dtype=torch.float32)


@pytest.fixture
def copied(tiny_deepfloyd_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_deepfloyd_folder, tmp_path / "prior"))
