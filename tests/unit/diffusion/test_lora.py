"""A LoRA in a prior is a sum of weights, whoever saved it; what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.weights import prior_identity
from dreamfoundry.errors import ConfigError, PriorUnavailable
from dreamfoundry.identity import field_key
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.prior import LoraConfig, PriorConfig
from dreamfoundry.settings.recipe import Recipe

RANK = 2
CROSS = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
CONV = "down_blocks.0.resnets.0.conv1"
TEXT = "encoder.layers.0.self_attn.q_proj"
SHAPES = {CROSS: (8, 16, 1, 1), CONV: (8, 8, 3, 3), TEXT: (16, 16, 1, 1)}


def factors(layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(down, up) of a layer, as a convolution has them where it is one."""
    generator = torch.Generator().manual_seed(len(layer))
    out, into, height, width = SHAPES[layer]
    down = torch.randn(RANK, into, height, width, generator=generator)
    up = torch.randn(out, RANK, 1, 1, generator=generator)
    return (down, up) if layer == CONV else (down.flatten(1), up.flatten(1))


def delta(layer: str) -> torch.Tensor:
    """up @ down, one element of the weight after the other."""
    down, up = factors(layer)
    change = torch.zeros(len(up), *down.shape[1:])
    for out in range(len(up)):
        for rank in range(RANK):
            change[out] += up[out, rank].squeeze() * down[rank]
    return change


def as_diffusers(folder: Path) -> LoraConfig:
    tensors = {}
    for part, layer in (("unet", CROSS), ("unet", CONV), ("text_encoder.text_model", TEXT)):
        tensors[f"{part}.{layer}.lora_A.weight"], tensors[f"{part}.{layer}.lora_B.weight"] = factors(layer)
    header = {"format": "pt", "lora_adapter_metadata": json.dumps({"unet.lora_alpha": 6, "text_encoder.lora_alpha": 6})}
    save_file(tensors, folder / "style.safetensors", metadata=header)
    return LoraConfig(str(folder), 0.5, license="CC-BY-4.0")


def as_older_diffusers(folder: Path) -> LoraConfig:
    tensors = {}
    for name, kind, layer in (
        (f"unet.{CROSS}", "lora", CROSS),
        (f"unet.{CONV}", "lora", CONV),
        (f"text_encoder.text_model.{TEXT}", "lora_linear_layer", TEXT),
    ):
        tensors[f"{name}.{kind}.down.weight"], tensors[f"{name}.{kind}.up.weight"] = factors(layer)
    save_file(tensors, folder / "style.safetensors")
    return LoraConfig(str(folder), 1.5, license="CC-BY-4.0")


def as_kohya(folder: Path) -> LoraConfig:
    tensors = {}
    for prefix, layer in (("lora_unet_", CROSS), ("lora_unet_", CONV), ("lora_te_text_model_", TEXT)):
        name = prefix + layer.replace(".", "_")
        tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"] = factors(layer)
        tensors[f"{name}.alpha"] = torch.tensor(6.0)
    save_file(tensors, folder / "style.safetensors")
    return LoraConfig(str(folder / "style.safetensors"), 0.5, license="CC-BY-4.0")


@pytest.fixture
def plain(tiny_stable_diffusion_folder: Path) -> PriorConfig:
    return PriorConfig(path=str(tiny_stable_diffusion_folder), license="MIT")


def loaded(config: PriorConfig, dtype: torch.dtype = torch.float32) -> tuple[dict[str, Any], dict[str, Any]]:
    """The layers of UNet and text encoder by name."""
    prior = load_prior(config, dtype=dtype)
    assert isinstance(prior, DiffusersPrior)
    return dict(prior._unet.named_modules()), {
        name.removeprefix("text_model."): module for name, module in prior._text_encoder.model.named_modules()
    }


@pytest.mark.parametrize("save", [as_diffusers, as_older_diffusers, as_kohya])
def test_a_merged_weight_is_the_old_one_plus_its_share_of_up_times_down(
    plain: PriorConfig, tmp_path: Path, save: Callable[[Path], LoraConfig]
) -> None:
    before, after = loaded(plain), loaded(replace(plain, loras=(save(tmp_path),)))
    scale = 1.5  # weight 0.5 times alpha 6 over rank 2, or weight 1.5 where alpha is the rank
    for part, layer in ((0, CROSS), (0, CONV), (1, TEXT)):
        expected = before[part][layer].weight + scale * delta(layer)
        assert torch.allclose(after[part][layer].weight, expected, atol=1e-5)
        assert not torch.allclose(before[part][layer].weight, expected, atol=1e-2)
    untouched = "up_blocks.1.resnets.0.conv1"
    assert torch.equal(after[0][untouched].weight, before[0][untouched].weight)


def test_several_loras_add_up_and_the_weights_stay_frozen_in_their_precision(
    plain: PriorConfig, tmp_path: Path
) -> None:
    lora = as_kohya(tmp_path)
    (once, _), (twice, _) = (
        loaded(replace(plain, loras=loras), torch.bfloat16)
        for loras in ((replace(lora, weight=0.5),), (replace(lora, weight=0.25), replace(lora, weight=0.25)))
    )
    assert torch.allclose(once[CROSS].weight.float(), twice[CROSS].weight.float(), atol=0.1)
    assert once[CROSS].weight.dtype == torch.bfloat16
    assert not once[CROSS].weight.requires_grad


def test_a_lora_for_another_model_is_refused_by_name(tmp_path: Path, tiny_deepfloyd_folder: Path) -> None:
    config = PriorConfig(path=str(tiny_deepfloyd_folder), license="MIT", loras=(as_kohya(tmp_path),))
    with pytest.raises(PriorUnavailable, match=r"style.safetensors' cannot be merged: .* of its 3 layers are not in"):
        load_prior(config)


def test_a_lora_of_another_width_is_refused(plain: PriorConfig, tmp_path: Path) -> None:
    name = f"lora_unet_{CROSS.replace('.', '_')}"
    save_file(
        {f"{name}.lora_down.weight": torch.ones(2, 768), f"{name}.lora_up.weight": torch.ones(320, 2)},
        tmp_path / "wide.safetensors",
    )
    with pytest.raises(PriorUnavailable, match=r"to_k is \(320, 2\) @ \(2, 768\), but that layer .* is \(8, 16\)"):
        load_prior(replace(plain, loras=(LoraConfig(str(tmp_path), license="MIT"),)))


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        ({"lora_unet_conv_in.hada_w1_a": torch.ones(2, 2)}, {}, "hada_w1_a are is not known"),
        ({"lora_te2_encoder.lora_down.weight": torch.ones(2, 2)}, {}, "lora_te2_encoder.lora_down.weight are is not"),
        ({"x": torch.ones(1)}, {"lora_adapter_metadata": "{"}, "lora_adapter_metadata in its header is no JSON"),
        (
            {"x": torch.ones(1)},
            {"lora_adapter_metadata": '{"unet.use_rslora": true}'},
            "unet.use_rslora = True, which is not supported",
        ),
    ],
)
def test_a_file_that_is_no_plain_lora_is_refused(
    plain: PriorConfig, tmp_path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str], message: str
) -> None:
    save_file(tensors, tmp_path / "odd.safetensors", metadata=header)
    with pytest.raises(PriorUnavailable, match=message):
        load_prior(replace(plain, loras=(LoraConfig(str(tmp_path), license="MIT"),)))


def test_a_damaged_lora_is_named(plain: PriorConfig, tmp_path: Path) -> None:
    (tmp_path / "torn.safetensors").write_bytes(b"half a file")
    with pytest.raises(PriorUnavailable, match=r"torn.safetensors' cannot be merged"):
        load_prior(replace(plain, loras=(LoraConfig(str(tmp_path), license="MIT"),)))


def test_where_no_lora_or_more_than_one_lies_nothing_is_guessed(plain: PriorConfig, tmp_path: Path) -> None:
    config = replace(plain, loras=(LoraConfig(str(tmp_path), license="MIT"),))
    with pytest.raises(PriorUnavailable, match=r"or a folder with exactly one$"):
        prior_identity(config)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").touch()
    with pytest.raises(PriorUnavailable, match=r"exactly one \(here: a.safetensors, b.safetensors\)"):
        prior_identity(config)
    with pytest.raises(PriorUnavailable, match=r"nowhere.safetensors"):
        prior_identity(replace(plain, loras=(LoraConfig(str(tmp_path / "nowhere.safetensors"), license="MIT"),)))


def test_a_lora_without_a_licence_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"prior.loras.licence = '': must name the licence of 'style.safetensors'"):
        with_overrides(Recipe(), {"prior.loras": [{"path": "style.safetensors"}]})


def test_key_and_files_of_an_asset_name_the_loras_of_its_prior(plain: PriorConfig, tmp_path: Path) -> None:
    lora = as_kohya(tmp_path)
    (tmp_path / "copy.safetensors").write_bytes((tmp_path / "style.safetensors").read_bytes())
    variants = [
        (),
        (lora,),
        (replace(lora, weight=0.75),),
        (replace(lora, license="MIT"),),
        (replace(lora, path=str(tmp_path / "copy.safetensors"), lora_id="style"),),
    ]
    prompt = Prompt("row", "a mug")
    identities = [prior_identity(replace(plain, loras=loras)) for loras in variants]
    keys = [field_key(prompt, Recipe(), identity) for identity in identities]
    assert len(set(keys)) == 4
    assert keys[1] == keys[4], "the path is not in the key"

    prior = asset_metadata(prompt, identities[1], keys[1], "a" * 64, "e" * 64, ExportProfile())["prior"]
    digest = identities[1].loras[0].digest
    assert prior["loras"] == [{"id": "style", "digest": digest, "license": "CC-BY-4.0", "weight": 0.5}]
    assert len(digest) == 64
    assert prior["license"] == "MIT"
    assert "loras" not in asset_metadata(prompt, identities[0], keys[0], "a" * 64, "e" * 64, ExportProfile())["prior"]


def test_a_research_lora_makes_research_assets_and_a_pinned_one_is_compared(plain: PriorConfig, tmp_path: Path) -> None:
    lora = as_kohya(tmp_path)
    assert prior_identity(replace(plain, loras=(replace(lora, research_only=True),))).research_only
    with pytest.raises(PriorUnavailable, match=r"prior.loras.digest = '0+', but the weights in .*style"):
        prior_identity(replace(plain, loras=(replace(lora, digest="0" * 64),)))
