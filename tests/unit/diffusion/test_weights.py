"""A prior has one identity: its weights, its licence, and no torch to find them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.weights import prior_identity, weights_digest
from dreamfoundry.errors import ConfigError, PriorUnavailable
from dreamfoundry.settings.prior import PriorConfig
from support.prior_folders import config_of, edit_json


def test_the_identity_names_the_weights(tiny_deepfloyd_folder: Path) -> None:
    config = config_of(tiny_deepfloyd_folder, prior_id="someone/tiny", revision="abc")
    identity = load_prior(config).identity
    assert identity == prior_identity(config)
    assert (identity.prior_id, identity.revision, identity.license) == ("someone/tiny", "abc", "MIT")
    assert prior_identity(config_of(tiny_deepfloyd_folder)).prior_id == tiny_deepfloyd_folder.name


def test_the_bundled_prior_has_one_name_and_one_licence() -> None:
    identity = prior_identity(PriorConfig())
    assert (identity.prior_id, identity.license) == ("dreamfoundry/toybox", "Apache-2.0")
    with pytest.raises(ConfigError, match="must be left out for the bundled prior"):
        prior_identity(PriorConfig(license="MIT"))


def test_the_digest_changes_with_a_weight_and_not_with_a_neighbouring_file(copied: Path) -> None:
    before = weights_digest(copied)
    (copied / "safety_checker").mkdir()
    (copied / "safety_checker" / "model.safetensors").write_bytes(b"anything")
    assert weights_digest(copied) == before
    file = next((copied / "unet").glob("*.safetensors"))
    weights = load_file(file)
    weights["conv_in.bias"][0] += 1e-3
    save_file(weights, file, metadata={"format": "pt"})
    assert weights_digest(copied) != before
    with pytest.raises(PriorUnavailable, match=r"prior.digest = .* restore the weights"):
        load_prior(config_of(copied, digest=before))


def test_identity_needs_no_torch(tiny_deepfloyd_folder: Path) -> None:
    program = (
        "import sys; from dreamfoundry.settings.prior import PriorConfig; from dreamfoundry.diffusion import weights; "
        f"print(weights.prior_identity(PriorConfig({str(tiny_deepfloyd_folder)!r}, license='MIT')).digest); "
        "sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    )
    package_root = Path(sys.modules["dreamfoundry"].__file__ or "").parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(package_root)}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == weights_digest(tiny_deepfloyd_folder)


def test_a_folder_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PriorUnavailable, match=r'nowhere.*model_index.json is missing.*prior.path = "toybox"'):
        load_prior(config_of(tmp_path / "nowhere"))


def test_a_folder_without_a_stated_licence_is_refused(tiny_deepfloyd_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"prior.licence = '': must name the licence"):
        load_prior(config_of(tiny_deepfloyd_folder, license=""))


def test_deepfloyd_needs_a_word_that_it_is_for_research(copied: Path) -> None:
    with pytest.raises(ConfigError, match=r"prior.research_only = true"):
        prior_identity(config_of(copied, license="LicenseRef-DeepFloyd-IF"))
    edit_json(copied / "text_encoder" / "config.json", d_model=4096)
    with pytest.raises(ConfigError, match=r"prior.research_only = true"):
        prior_identity(config_of(copied))
    assert prior_identity(config_of(copied, research_only=True)).research_only
