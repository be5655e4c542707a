"""The options of these tests, and tiny priors with random weights in diffusers format.

The priors answer nonsense, but through the same files, classes and channels as the real ones.
"""

from __future__ import annotations

import json
import os
import string
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ("support.servers",)

# Tensors of tests are small. Two OpenMP threads wait for each other, spinning, in every small loop, and beside other
# work for most of the time. Read when torch is imported, so it is set before; processes of tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Programs that a test starts write no log events, unless the test asks for them.
os.environ.setdefault("DREAMFOUNDRY_LOG_EVENTS", "off")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-radosgw",
        action="store_true",
        help="fail where radosgw, the real S3 store of tests/support/radosgw.py, is not installed, instead of skipping",
    )
    parser.addoption(
        "--count-inputs",
        action="store_true",
        help="say in the end how many inputs were tried: a test is one, or what it counts with the fixture `tried`",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--count-inputs"):
        return
    counts = [dict(report.user_properties).get("inputs") for report in terminalreporter.getreports("passed")]
    num_random = sum(count.num_inputs for count in counts if isinstance(count, Inputs))
    num_cases = sum(count is None for count in counts)
    terminalreporter.write_line(
        f"inputs tried: {num_cases + num_random:,} ({num_cases:,} cases, {num_random:,} random)"
    )


class Inputs:
    """The number of inputs that a test has tried."""

    def __init__(self) -> None:
        self.num_inputs = 0

    def __call__(self) -> None:
        self.num_inputs += 1


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Inputs:
    """Counts an input of a test that tries many, each time it is called."""
    inputs = Inputs()
    request.node.user_properties.append(("inputs", inputs))
    return inputs


@pytest.fixture(scope="session")
def tiny_stable_diffusion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A latent prior as Stable Diffusion 2.1: CLIP, VAE, v-prediction. Pictures 16 px, latents 4 x 8 x 8."""
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    letters = string.ascii_lowercase + ","
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    text_config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    blocks = {"block_out_channels": (8, 8), "layers_per_block": 1, "norm_num_groups": 4}
    parts = {
        "tokenizer": CLIPTokenizer(
            vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77
        ),
        "text_encoder": CLIPTextModel(text_config),
        "vae": AutoencoderKL(
            **blocks,
            latent_channels=4,
            sample_size=16,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        "unet": UNet2DConditionModel(
            **blocks,
            sample_size=8,
            in_channels=4,
            out_channels=4,
            cross_attention_dim=16,
            attention_head_dim=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ),
        "scheduler": PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction"
        ),
    }
    return _write_pipeline(tmp_path_factory.mktemp("priors") / "tiny-sd", "StableDiffusionPipeline", parts)


@pytest.fixture(scope="session")
def tiny_deepfloyd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pixel prior as DeepFloyd IF stage I: T5, text added to the timestep, learned variance. 8 px."""
    import torch
    from diffusers import DDPMScheduler, UNet2DConditionModel
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    torch.manual_seed(1)
    words = ["<pad>", "</s>", "<unk>", "▁", ",", *string.ascii_lowercase]
    text_config = T5Config(  # type: ignore[call-arg]  # transformers takes `dense_act_fn` among its keywords
        vocab_size=len(words), d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, dense_act_fn="gelu"
    )
    parts = {
        "tokenizer": T5Tokenizer(vocab=[(word, -1.0) for word in words], extra_ids=0, model_max_length=512),
        "text_encoder": T5EncoderModel(text_config),
        "unet": UNet2DConditionModel(
            sample_size=8,
            in_channels=3,
            out_channels=6,
            block_out_channels=(8, 8),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=8,
            encoder_hid_dim=16,
            encoder_hid_dim_type="text_proj",
            addition_embed_type="text",
            addition_embed_type_num_heads=2,
            attention_head_dim=4,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        ),
        "scheduler": DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range"),
    }
    return _write_pipeline(tmp_path_factory.mktemp("priors") / "tiny-if", "IFPipeline", parts)


def _write_pipeline(folder: Path, class_name: str, parts: dict[str, Any]) -> Path:
    """The parts in their subfolders and the index beside them, as `save_pretrained` leaves them."""
    index: dict[str, object] = {"_class_name": class_name, "safety_checker": [None, None]}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
