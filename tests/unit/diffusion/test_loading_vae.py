"""A tiny encoder takes the place of a prior's own VAE if it is one for the same latents, and keys and files say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny

from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.diffusion.loading import load_encoders, load_prior
from dreamfoundry.diffusion.networks.vae_encoder import VaeEncoder
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.weights import pin_digests, prior_identity
from dreamfoundry.errors import ConfigError, PriorUnavailable
from dreamfoundry.identity import field_key
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.prior import PriorConfig, VaeConfig
from dreamfoundry.settings.recipe import Recipe
from support.prior_folders import config_of


def saved(folder: Path, **changes: Any) -> VaeConfig:
    torch.manual_seed(1)
    blocks: dict[str, Any] = {
        "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8),
        "num_encoder_blocks": (1, 1),
        "num_decoder_blocks": (1, 1),
    }
    AutoencoderTiny(**blocks | changes).save_pretrained(folder)
    return VaeConfig(str(folder), license="MIT")


@pytest.fixture
def tiny(tmp_path: Path) -> VaeConfig:
    return saved(tmp_path / "tiny")


@pytest.fixture
def config(tiny_stable_diffusion_folder: Path, tiny: VaeConfig) -> PriorConfig:
    return config_of(tiny_stable_diffusion_folder, vae=tiny)


def test_pictures_are_encoded_by_it_and_their_gradient_comes_back_through_it(
    config: PriorConfig, tiny: VaeConfig, latent: ScorePrior
) -> None:
    prior = load_prior(config, dtype=torch.float32)
    assert prior.picture_px == latent.picture_px
    pictures = torch.rand(2, 3, 16, 16, requires_grad=True)
    latents = prior.encode_pictures(pictures)
    right = AutoencoderTiny.from_pretrained(tiny.path, low_cpu_mem_usage=False).encode(pictures * 2 - 1).latents
    assert torch.allclose(latents, right, atol=1e-5)
    assert not torch.allclose(latents, latent.encode_pictures(pictures), atol=1e-2)

    probe = torch.randn(2, 4, 8, 8)
    gradients = [torch.autograd.grad((found * probe).sum(), pictures)[0] for found in (latents, right)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


def test_both_encoders_can_be_had_for_a_comparison(
    config: PriorConfig, latent: ScorePrior, tiny_deepfloyd_folder: Path
) -> None:
    pictures = torch.rand(2, 3, 16, 16)
    own, tiny = (VaeEncoder(model) for model in load_encoders(config))
    assert torch.allclose(own(pictures * 2 - 1), latent.encode_pictures(pictures), atol=1e-5)
    assert torch.allclose(tiny(pictures * 2 - 1), load_prior(config, dtype=torch.float32).encode_pictures(pictures))
    assert load_encoders(replace(config, vae=None))[1] is None
    with pytest.raises(PriorUnavailable, match="works on pixels and has no VAE"):
        load_encoders(config_of(tiny_deepfloyd_folder))


def test_the_decoder_is_not_loaded(config: PriorConfig) -> None:
    vae = load_prior(config)._vae
    assert vae is not None
    assert not [name for name, _ in vae.model.named_parameters() if "decoder" in name]


def test_it_is_part_of_the_identity_of_every_key_and_of_every_file(config: PriorConfig) -> None:
    own, tiny = prior_identity(replace(config, vae=None)), prior_identity(config)
    assert tiny.vae is not None
    assert (tiny.vae.vae_id, tiny.vae.license, len(tiny.vae.digest)) == ("tiny", "MIT", 64)
    assert replace(tiny, vae=None) == own
    prompt = Prompt("p", "a mug")
    assert field_key(prompt, Recipe(), tiny) != field_key(prompt, Recipe(), own)

    told = [asset_metadata(prompt, one, "f", "a", "r", export_profile("mobile"))["prior"] for one in (own, tiny)]
    assert "vae" not in told[0]
    assert told[1] == {**told[0], "vae": {"id": "tiny", "digest": tiny.vae.digest, "license": "MIT"}}


def test_its_digest_is_pinned_for_all_other_processes(config: PriorConfig, tmp_path: Path) -> None:
    pinned = pin_digests(config, prior_identity(config))
    assert pinned.vae is not None
    assert prior_identity(pinned) == prior_identity(config)
    saved(tmp_path / "tiny", encoder_block_out_channels=(16, 16))
    with pytest.raises(PriorUnavailable, match=r"prior\.vae\.digest = .* but the weights in .* have"):
        load_prior(pinned)


def test_one_for_research_only_makes_the_prior_so(config: PriorConfig, tiny: VaeConfig) -> None:
    assert not prior_identity(config).research_only
    assert prior_identity(replace(config, vae=replace(tiny, research_only=True))).research_only


def test_one_for_other_latents_or_for_a_prior_without_any_is_refused(
    config: PriorConfig, tiny_deepfloyd_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(PriorUnavailable, match=r"16 channels in 2 blocks, the prior's own VAE of 4 in 2"):
        load_prior(replace(config, vae=saved(tmp_path / "wide", latent_channels=16)))
    with pytest.raises(PriorUnavailable, match=r"works on pixels and has no VAE, so prior\.vae must be left out"):
        load_prior(config_of(tiny_deepfloyd_folder, vae=config.vae))


def test_a_folder_without_one_and_one_without_a_licence_are_refused(config: PriorConfig, tmp_path: Path) -> None:
    with pytest.raises(PriorUnavailable, match=r"prior\.vae\.path = .*config\.json is missing"):
        prior_identity(replace(config, vae=VaeConfig(str(tmp_path / "nowhere"), license="MIT")))
    with pytest.raises(ConfigError, match=r"prior\.vae\.licence"):
        with_overrides(Recipe(), {"prior.vae.path": "/models/taesd"})
    recipe = with_overrides(Recipe(), {"prior.vae.path": "/models/taesd", "prior.vae.licence": "MIT"})
    assert recipe.prior.vae == VaeConfig("/models/taesd", license="MIT")
