"""The architecture of Stable Diffusion 2.1 (base, 512 px) with random weights: for measurements and tests.

How long a step takes and how much memory it needs does not depend on what the weights say, so neither
needs gigabytes that somebody has to have. What such a prior predicts means nothing.
"""

from __future__ import annotations

import string

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from dreamfoundry.diffusion.prior import DiffusersPrior, usual_dtype
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.records import PriorIdentity

PRIOR_ID = "random/sd21"

LETTERS = string.ascii_lowercase + ","


def random_sd21(
    device: str = "cpu", dtype: torch.dtype | None = None, *, engine: PriorEngine = "graphs", seed: int = 0
) -> DiffusersPrior:
    """A latent prior with 866 M weights in its UNet and 340 M in its text encoder; `dtype` as for `load_prior`.

    Made where it shall live, in float32 first (5 GB). Its tokenizer spells: a text has at most 75
    letters. One `seed` gives one prior on one device.
    """
    dtype = usual_dtype(device) if dtype is None else dtype
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    torch.manual_seed(seed)
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            attention_head_dim=(5, 10, 20, 20),
            cross_attention_dim=1024,
            use_linear_projection=True,
        )
        vae = AutoencoderKL(
            sample_size=512,
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=1024,
                intermediate_size=4096,
                num_hidden_layers=23,
                num_attention_heads=16,
                hidden_act="gelu",
            )
        )
    vae.decoder = vae.post_quant_conv = None
    for part in (unet, vae, text_encoder):
        part.eval().requires_grad_(False).to(dtype)
    for part in (unet, vae):
        part.to(memory_format=torch.channels_last)
    return DiffusersPrior(
        identity=PriorIdentity(PRIOR_ID, str(seed), "", "Apache-2.0"),
        alphas_cumprod=scheduler.alphas_cumprod.float().to(device),
        prediction_type="epsilon",
        tokenizer=_spelling_tokenizer(),
        text_encoder=text_encoder,
        unet=unet,
        vae=vae,
        engine=engine,
    )


def _spelling_tokenizer() -> CLIPTokenizer:
    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77)
