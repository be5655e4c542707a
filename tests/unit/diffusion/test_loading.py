"""Any diffusers folder becomes a frozen prior; a damaged part or one of an unknown kind is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import PNDMScheduler
from safetensors.torch import load_file, save_file

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.errors import PriorUnavailable
from support.prior_folders import config_of, edit_json


def test_the_schedule_is_the_one_of_the_folder(latent: ScorePrior, tiny_stable_diffusion_folder: Path) -> None:
    named = PNDMScheduler.from_pretrained(tiny_stable_diffusion_folder, subfolder="scheduler")
    assert torch.equal(latent.alphas_cumprod, named.alphas_cumprod)


def test_the_decoder_is_gone(latent: ScorePrior) -> None:
    assert isinstance(latent, DiffusersPrior)
    assert latent._vae is not None
    assert not [name for name, _ in latent._vae.model.named_parameters() if "decoder" in name or "post_quant" in name]


def test_an_fp16_variant_is_used_where_it_is_all_there_is(copied: Path, pixel: ScorePrior) -> None:
    for part, name in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (copied / part / f"{name}.safetensors").rename(copied / part / f"{name}.fp16.safetensors")
    embeds = load_prior(config_of(copied), dtype=torch.float32).encode_prompts(["a mug"])
    assert torch.equal(embeds, pixel.encode_prompts(["a mug"]))


def test_weights_that_are_missing_or_damaged_are_refused(copied: Path) -> None:
    file = next((copied / "unet").glob("*.safetensors"))
    weights = load_file(file)
    weights.pop("conv_in.bias")
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(PriorUnavailable, match=r"lacks weights: conv_in.bias"):
        load_prior(config_of(copied))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(PriorUnavailable, match="cannot be loaded"):
        load_prior(config_of(copied))
    file.unlink()
    with pytest.raises(PriorUnavailable, match="unet of the prior holds no safetensors"):
        load_prior(config_of(copied))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "epsilon, v_prediction"),
        ("model_index.json", {"text_encoder": ["transformers", "BertModel"]}, "CLIPTextModel, T5EncoderModel"),
        ("model_index.json", {"tokenizer": ["os", "system"]}, "'system' is no tokenizer"),
    ],
)
def test_a_part_of_an_unknown_kind_is_named(copied: Path, file: str, changes: dict[str, object], message: str) -> None:
    edit_json(copied / file, **changes)
    with pytest.raises(PriorUnavailable, match=message):
        load_prior(config_of(copied))


def test_a_schedule_of_another_family_is_refused(copied: Path) -> None:
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
    (copied / "scheduler" / "scheduler_config.json").write_text(json.dumps(flow))
    with pytest.raises(PriorUnavailable, match=r"FlowMatchEulerDiscreteScheduler.*no beta_schedule"):
        load_prior(config_of(copied))
