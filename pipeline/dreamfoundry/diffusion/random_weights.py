"""The architectures of Stable Diffusion 2.1 (base, 512 px) and DeepFloyd IF stage I (64 px) with random weights.

Time and memory of a step do not depend on the values of the weights, so neither measurements nor tests
need gigabytes that somebody has to have. The predictions of such a prior mean nothing.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDPMScheduler, UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import usual_dtype
from dreamfoundry.diffusion.networks.text_encoder import TextEncoder
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.settings.prior_identity import PriorIdentity

LETTERS = string.ascii_lowercase + ","

SD_VAE_WIDTHS = (128, 256, 512, 512)

TINY_VAE_WIDTHS = (32, 32, 64, 64)


def random_sd21(
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    engine: PriorEngine = "graphs",
    seed: int = 0,
    unet_widths: tuple[int, int, int, int] = (320, 640, 1280, 1280),
    vae_widths: tuple[int, int, int, int] = SD_VAE_WIDTHS,
    num_text_layers: int = 23,
    has_tiny_vae: bool = False,
) -> DiffusersPrior:
    """A latent prior with 866 M weights in its UNet and 340 M in its text encoder; `dtype` as for `load_prior`.

    Created on `device`, in float32 first (5 GB); less with other widths than those of the real one. A tiny VAE is one
    that `prior.vae` may name, in the shape of TAESD.
    Its tokenizer spells: a text has at most 75 letters. One `seed` gives one prior on one device.
    """
    dtype = usual_dtype(device) if dtype is None else dtype
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")

    # on the device itself, so that the host never holds them
    torch.manual_seed(seed)
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=unet_widths,
            attention_head_dim=tuple(max(1, width // 64) for width in unet_widths),
            cross_attention_dim=1024,
            use_linear_projection=True,
        )
        vae = AutoencoderTiny() if has_tiny_vae else _sd_vae(vae_widths)
        text_model = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=1024,
                intermediate_size=4096,
                num_hidden_layers=num_text_layers,
                num_attention_heads=16,
                hidden_act="gelu",
            )
        )
    vae.decoder = None
    if not has_tiny_vae:
        vae.post_quant_conv = None

    identity = PriorIdentity("random/sd21", str(seed), "", "Apache-2.0")
    return DiffusersPrior(
        identity=identity,
        alphas_cumprod=scheduler.alphas_cumprod.float().to(device),
        prediction_type="epsilon",
        text_encoder=TextEncoder(_spelling_clip_tokenizer(), _frozen(text_model, dtype), identity.prior_id),
        unet=_frozen(unet, dtype).to(memory_format=torch.channels_last),
        vae=_frozen(vae, dtype).to(memory_format=torch.channels_last),
        engine=engine,
    )


def random_sd_encoder(device: str = "cpu", seed: int = 0) -> Any:
    """The VAE of `random_sd21` alone, without its decoder, in float32."""
    torch.manual_seed(seed)
    with torch.device(device):
        vae = _sd_vae(SD_VAE_WIDTHS)
    vae.decoder = vae.post_quant_conv = None
    return _frozen(vae, torch.float32).to(memory_format=torch.channels_last)


def random_sd_decoder(
    device: str, dtype: torch.dtype | None = None, widths: tuple[int, int, int, int] = SD_VAE_WIDTHS
) -> Callable[[Float[Tensor, "B 4 h w"]], Tensor]:
    """From latents to pictures in [-1, 1], by the decoder that priors here do without."""
    dtype = usual_dtype(device) if dtype is None else dtype
    with torch.device(device):
        vae = _frozen(_sd_vae(widths), dtype)
    return lambda latents: vae.decode(latents.to(dtype) / vae.config.scaling_factor).sample


def random_if(
    width: int,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    engine: PriorEngine = "graphs",
    seed: int = 0,
) -> DiffusersPrior:
    """A pixel prior as DeepFloyd IF stage I; `width` is 192 (M, 372 M weights), 320 (L, 935 M) or 704 (XL, 4305 M).

    Its embeddings are as wide as those of T5-XXL, but a single small layer makes them: texts are
    encoded once per asset and no part of a step.
    """
    dtype = usual_dtype(device) if dtype is None else dtype
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range")

    # on the device itself, so that the host never holds them
    torch.manual_seed(seed)
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=64,
            in_channels=3,
            out_channels=6,
            block_out_channels=(width, 2 * width, 3 * width, 4 * width),
            layers_per_block=3,
            cross_attention_dim=4 * width,
            cross_attention_norm="group_norm",
            encoder_hid_dim=4096,
            encoder_hid_dim_type="text_proj",
            addition_embed_type="text",
            addition_embed_type_num_heads=64,
            attention_head_dim=64,
            act_fn="gelu",
            resnet_time_scale_shift="scale_shift",
            down_block_types=("ResnetDownsampleBlock2D", *("SimpleCrossAttnDownBlock2D",) * 3),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=(*("SimpleCrossAttnUpBlock2D",) * 3, "ResnetUpsampleBlock2D"),
        )
        text_model = T5EncoderModel(T5Config(d_model=4096, d_kv=64, d_ff=64, num_layers=1, num_heads=1))

    identity = PriorIdentity(f"random/if-{width}", str(seed), "", "Apache-2.0", True)
    return DiffusersPrior(
        identity=identity,
        alphas_cumprod=scheduler.alphas_cumprod.float().to(device),
        prediction_type="epsilon",
        text_encoder=TextEncoder(_spelling_t5_tokenizer(), _frozen(text_model, dtype), identity.prior_id),
        unet=_frozen(unet, dtype).to(memory_format=torch.channels_last),
        engine=engine,
    )


ARCHITECTURES: Mapping[str, Callable[..., DiffusersPrior]] = MappingProxyType(
    {
        "sd21": random_sd21,
        "sd21-tiny-vae": partial(random_sd21, has_tiny_vae=True),
        "if-m": partial(random_if, 192),
        "if-l": partial(random_if, 320),
        "if-xl": partial(random_if, 704),
        "tiny-sd21": partial(random_sd21, unet_widths=(32, 64, 64, 64), vae_widths=TINY_VAE_WIDTHS, num_text_layers=1),
        "tiny-if": partial(random_if, 64),
    }
)
"""By the names that the benchmark takes: functions of device, dtype, engine and seed. Tiny ones are for rehearsals."""


def _sd_vae(widths: tuple[int, int, int, int]) -> AutoencoderKL:
    return AutoencoderKL(
        sample_size=512,
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )


def _frozen(part: Any, dtype: torch.dtype) -> Any:
    return part.eval().requires_grad_(False).to(dtype)


def _spelling_clip_tokenizer() -> CLIPTokenizer:
    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77)


def _spelling_t5_tokenizer() -> T5Tokenizer:
    words = ["<pad>", "</s>", "<unk>", "▁", *LETTERS]
    return T5Tokenizer(vocab=[(word, -1.0) for word in words], extra_ids=0, model_max_length=77)
