"""Loading of priors: from a folder in diffusers format to a `DiffusersPrior`.

Any diffusers folder will do whose scheduler is of the DDPM family: `model_index.json` decides between a
latent prior (it has a VAE) and a pixel prior. Nothing comes from the network and nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import AutoencoderKL, AutoencoderTiny, DDPMScheduler, UNet2DConditionModel
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.lora import merge_lora
from dreamfoundry.diffusion.networks.text_encoder import TEXT_ENCODERS, TextEncoder
from dreamfoundry.diffusion.weights import (
    PriorEngine,
    is_fp16_variant,
    lora_file,
    part_files,
    prior_folder,
    prior_identity,
    read_json,
    vae_folder,
)
from dreamfoundry.errors import PriorUnavailable
from dreamfoundry.settings.prior import PriorConfig

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


def load_prior(
    config: PriorConfig, *, device: str = "cpu", dtype: torch.dtype | None = None, engine: PriorEngine = "graphs"
) -> DiffusersPrior:
    """The prior that `config` names, frozen, on `device`.

    `dtype` defaults to `usual_dtype`; T5 computes in bfloat16 where that is float16, which its
    activations overflow. `engine` has a meaning on CUDA only. Raises ConfigError for a licence that
    was not stated, and PriorUnavailable if weights are missing, damaged, not the configured ones, or
    of a kind that cannot guide, or if a LoRA is not one for this model.
    """
    # first, since it reads every weight file and refuses damaged or foreign ones before they are loaded
    identity = prior_identity(config)
    folder = prior_folder(config)
    index = read_json(folder / "model_index.json")
    dtype = usual_dtype(device) if dtype is None else dtype

    try:
        alphas_cumprod, prediction_type = _read_schedule(folder / "scheduler")
        unet = _unet(folder / "unet", dtype)
        own_vae = folder / "vae" if index.get("vae") else None
        vae = _vae(own_vae, vae_folder(config.vae) if config.vae else None, dtype)
        text_model = _text_model(folder / "text_encoder", index, dtype)
        tokenizer = _tokenizer(folder / "tokenizer", index)

        # on the host, so that a device never holds weights twice
        for lora in config.loras:
            merge_lora(lora_file(lora), lora.weight, unet, text_model)

        return DiffusersPrior(
            identity=identity,
            alphas_cumprod=alphas_cumprod.to(device),
            prediction_type=prediction_type,
            text_encoder=TextEncoder(tokenizer, text_model.to(device), identity.prior_id),
            unet=unet.to(device),
            vae=vae.to(device) if vae is not None else None,
            engine=engine,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise PriorUnavailable(f"prior.path = {config.path!r} cannot be loaded: {error}") from error


def load_encoders(config: PriorConfig, device: str = "cpu") -> tuple[Any, Any | None]:
    """(the prior's own VAE without its decoder, the one of `config.vae` if it has one), in float32.

    Raises what `load_prior` does, and PriorUnavailable for a prior without a VAE.
    """
    prior_identity(config)
    own = prior_folder(config) / "vae"
    try:
        if not read_json(own.parent / "model_index.json").get("vae"):
            raise ValueError("it works on pixels and has no VAE")
        tiny = _vae(own, vae_folder(config.vae), torch.float32).to(device) if config.vae else None
        return _vae(own, None, torch.float32).to(device), tiny
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise PriorUnavailable(f"prior.path = {config.path!r} cannot be loaded: {error}") from error


def usual_dtype(device: str) -> torch.dtype:
    """float16 on a GPU; on a CPU bfloat16 if it has instructions for it, else float32.

    What bfloat16 rounds away is far less than what the draw of the noise changes from step to step.
    """
    if torch.device(device).type == "cuda":
        return torch.float16
    # The oldest torch that we allow cannot tell.
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


def _read_schedule(part: Path) -> tuple[Float[Tensor, " timesteps"], str]:
    """(alphas_cumprod, prediction type) of whichever scheduler the folder names.

    All schedulers of the DDPM family (PNDM, DDIM, DPM-Solver …) are trained on the same noise
    and differ in how they sample, so the DDPM reading of their configuration is the schedule.
    """
    config = read_json(part / "scheduler_config.json")
    if "beta_schedule" not in config:
        raise ValueError(
            f"its scheduler {config.get('_class_name')!r} has no beta_schedule: only priors of the DDPM family "
            "(Stable Diffusion 1 and 2, DeepFloyd IF, toybox) can guide"
        )
    scheduler_class: Any = DDPMScheduler
    scheduler = scheduler_class(**{key: config[key] for key in config if key in _SCHEDULE_KEYS})
    prediction_type = str(scheduler.config.prediction_type)
    if prediction_type not in _PREDICTIONS:
        raise ValueError(f"its prediction_type is {prediction_type!r}, but must be one of {', '.join(_PREDICTIONS)}")
    return scheduler.alphas_cumprod.float(), prediction_type


def _tokenizer(part: Path, index: dict[str, Any]) -> Any:
    name = _class_name(index, "tokenizer")
    tokenizer_class = getattr(transformers, name, None)
    if not (isinstance(tokenizer_class, type) and issubclass(tokenizer_class, transformers.PreTrainedTokenizerBase)):
        raise ValueError(f"its tokenizer {name!r} is no tokenizer of transformers {transformers.__version__}")
    return tokenizer_class.from_pretrained(part, local_files_only=True)


def _text_model(part: Path, index: dict[str, Any], dtype: torch.dtype) -> Any:
    name = _class_name(index, "text_encoder")
    if name not in TEXT_ENCODERS:
        raise ValueError(f"its text encoder is a {name}, but must be one of {', '.join(TEXT_ENCODERS)}")
    if name == "T5EncoderModel" and dtype == torch.float16:
        dtype = torch.bfloat16
    return _frozen(TEXT_ENCODERS[name], part, dtype=dtype)


def _unet(part: Path, dtype: torch.dtype) -> Any:
    unet = _frozen(UNet2DConditionModel, part, torch_dtype=dtype, low_cpu_mem_usage=False)
    if unet.config.addition_embed_type not in (None, "text"):
        raise ValueError(
            f"its UNet wants more than a text (addition_embed_type {unet.config.addition_embed_type!r}): "
            "Stable Diffusion XL and Kandinsky cannot guide"
        )
    return unet.to(memory_format=torch.channels_last)


def _vae(own: Path | None, tiny: Path | None, dtype: torch.dtype) -> Any:
    """The encoder of the prior's `own` VAE, or of the `tiny` one in its place; None for a pixel prior."""
    if own is None:
        if tiny is not None:
            raise ValueError("it works on pixels and has no VAE, so prior.vae must be left out")
        return None
    vae_class, part = (AutoencoderKL, own) if tiny is None else (AutoencoderTiny, tiny)
    vae = _frozen(vae_class, part, torch_dtype=dtype, low_cpu_mem_usage=False)
    if tiny is not None:
        _require_same_latents(vae.config, read_json(own / "config.json"), tiny)

    vae.decoder = None
    if tiny is None:
        vae.post_quant_conv = None
    return vae.to(memory_format=torch.channels_last)


def _require_same_latents(tiny: Any, own: dict[str, Any], folder: Path) -> None:
    """ValueError unless latents of both have one shape. That they mean the same, no configuration tells."""
    ours, theirs = ((config["latent_channels"], len(config["block_out_channels"])) for config in (tiny, own))
    if ours != theirs:
        raise ValueError(
            f"prior.vae.path = {str(folder)!r} makes latents of {ours[0]} channels in {ours[1]} blocks, the prior's "
            f"own VAE of {theirs[0]} in {theirs[1]}: it must be one for the same latents"
        )


def _frozen(model_class: Any, part: Path, **arguments: Any) -> Any:
    """The model in `part` for inference: nothing from the network, nothing pickled.

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
