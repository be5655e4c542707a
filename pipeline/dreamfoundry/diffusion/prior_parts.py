"""The parts of a diffusers folder, each loaded frozen: schedule, tokenizer, text encoder, UNet, VAE encoder.

A part of a kind that cannot guide is a ValueError, which says what would; `prior.load_prior` puts the parts together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.diffusion.weights import is_fp16_variant, part_files, read_json

_TEXT_ENCODERS: dict[str, Any] = {
    "CLIPTextModel": transformers.CLIPTextModel,
    "T5EncoderModel": transformers.T5EncoderModel,
}
_PREDICTIONS = ("epsilon", "v_prediction")

_SCHEDULE_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)


def read_schedule(part: Path) -> tuple[Float[Tensor, " timesteps"], str]:
    """(alphas_cumprod, prediction type) of whichever scheduler the folder names.

    All schedulers of the DDPM family (PNDM, DDIM, DPM-Solver …) are trained on the same noise
    and differ in how they sample, so the DDPM reading of their configuration is the schedule.
    """
    found = read_json(part / "scheduler_config.json")
    if "beta_schedule" not in found:
        raise ValueError(
            f"its scheduler {found.get('_class_name')!r} has no beta_schedule: only priors of the DDPM family "
            "(Stable Diffusion 1 and 2, DeepFloyd IF, toybox) can guide"
        )
    scheduler_class: Any = DDPMScheduler
    scheduler = scheduler_class(**{key: found[key] for key in found if key in _SCHEDULE_KEYS})
    prediction_type = str(scheduler.config.prediction_type)
    if prediction_type not in _PREDICTIONS:
        raise ValueError(f"its prediction_type is {prediction_type!r}, but must be one of {', '.join(_PREDICTIONS)}")
    return scheduler.alphas_cumprod.float(), prediction_type


def load_tokenizer(part: Path, index: dict[str, Any]) -> Any:
    name = _class_name(index, "tokenizer")
    tokenizer_class = getattr(transformers, name, None)
    if not (isinstance(tokenizer_class, type) and issubclass(tokenizer_class, transformers.PreTrainedTokenizerBase)):
        raise ValueError(f"its tokenizer {name!r} is no tokenizer of transformers {transformers.__version__}")
    return tokenizer_class.from_pretrained(part, local_files_only=True)


def load_text_encoder(part: Path, index: dict[str, Any], dtype: torch.dtype) -> Any:
    name = _class_name(index, "text_encoder")
    if name not in _TEXT_ENCODERS:
        raise ValueError(f"its text encoder is a {name}, but must be one of {', '.join(_TEXT_ENCODERS)}")
    if name == "T5EncoderModel" and dtype == torch.float16:
        dtype = torch.bfloat16
    return _frozen(_TEXT_ENCODERS[name], part, dtype=dtype)


def load_unet(part: Path, dtype: torch.dtype) -> Any:
    unet = _frozen(UNet2DConditionModel, part, torch_dtype=dtype, low_cpu_mem_usage=False)
    if unet.config.addition_embed_type not in (None, "text"):
        raise ValueError(
            f"its UNet wants more than a text (addition_embed_type {unet.config.addition_embed_type!r}): "
            "Stable Diffusion XL and Kandinsky cannot guide"
        )
    return unet.to(memory_format=torch.channels_last)


def load_vae_encoder(part: Path, dtype: torch.dtype) -> Any:
    vae = _frozen(AutoencoderKL, part, torch_dtype=dtype, low_cpu_mem_usage=False)
    vae.decoder = vae.post_quant_conv = None
    return vae.to(memory_format=torch.channels_last)


def _frozen(model_class: Any, part: Path, **arguments: Any) -> Any:
    """The model in `part`, ready to be asked: nothing from the network, nothing pickled.

    The libraries fill missing weights with noise and a log line; here that is a ValueError.
    (`low_cpu_mem_usage` in `arguments` is off because it would need accelerate.)
    """
    model, info = model_class.from_pretrained(
        part,
        variant="fp16" if all(is_fp16_variant(path) for path in part_files(part)) else None,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **arguments,
    )
    if info["missing_keys"]:
        raise ValueError(f"{part} lacks weights: {', '.join(sorted(info['missing_keys'])[:3])} …")
    return model.eval().requires_grad_(False)


def _class_name(index: dict[str, Any], part: str) -> str:
    """The class that model_index.json names for `part`: its entries are [library, class]."""
    entry = index.get(part)
    return str(entry[1]) if isinstance(entry, list) and len(entry) == 2 else ""
