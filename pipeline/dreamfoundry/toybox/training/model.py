"""Tokenizer, text encoder, UNet and noise schedule of the bundled prior.

The UNet predicts v (Salimans & Ho 2022); a tiny T5 encoder is trained along with it.
"""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from dreamfoundry.toybox.captions import VOCABULARY
from dreamfoundry.toybox.training.config import TrainingConfig

MAX_TOKENS = 16


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One id per word of the vocabulary, split at blanks and commas."""
    words = ["<pad>", "<unk>", *VOCABULARY]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=MAX_TOKENS
    )


def build_models(config: TrainingConfig, num_words: int) -> tuple[T5EncoderModel, UNet2DConditionModel]:
    """A tiny T5 encoder and a small UNet that sees the text by attention and in its time embedding.

    Random weights are a function of `config.seed`: torch's global generator is seeded with it.
    """
    # the order matters: both draw their weights from one generator
    torch.manual_seed(config.seed)
    return _text_encoder(config, num_words), _unet(config)


def _text_encoder(config: TrainingConfig, num_words: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=num_words,
            d_model=config.text_width,
            d_kv=24,
            d_ff=2 * config.text_width,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
        )
    )


def _unet(config: TrainingConfig) -> UNet2DConditionModel:
    num_levels = len(config.block_out_channels)
    unet = UNet2DConditionModel(
        sample_size=config.picture_px,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=config.block_out_channels,
        down_block_types=("DownBlock2D",) * (num_levels - 1) + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * (num_levels - 1),
        cross_attention_dim=128,
        encoder_hid_dim=config.text_width,
        encoder_hid_dim_type="text_proj",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        attention_head_dim=32,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
    )

    # convolutions on a CPU are faster with channels last
    return unet.to(memory_format=torch.channels_last)


def build_scheduler() -> DDPMScheduler:
    """The noise schedule: 1000 timesteps, squared cosine, v-prediction."""
    return DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        variance_type="fixed_small",
        clip_sample=True,
    )
