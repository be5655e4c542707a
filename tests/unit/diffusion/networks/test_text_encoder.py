"""Texts become embeddings whole or not at all, on the device or parked on the host."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.networks.text_encoder import TextEncoder
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.errors import PromptFailure
from dreamfoundry.settings.prior_identity import PriorIdentity
from support.prior_folders import config_of


def test_the_text_matters(latent: ScorePrior, pixel: ScorePrior) -> None:
    for prior in (latent, pixel):
        one, other, again = prior.encode_prompts(["a mug", "a car", "a mug"])
        assert torch.allclose(one, again, atol=1e-5)
        assert not torch.allclose(one, other, atol=1e-2)


def test_a_text_that_would_be_cut_off_is_refused(latent: ScorePrior) -> None:
    with pytest.raises(PromptFailure, match=r"has \d+ tokens .* reads 77: shorten it"):
        latent.encode_prompts(["word " * 30])


def test_a_parked_text_encoder_visits_the_device_for_each_prompt_only() -> None:
    """The device is torch's "meta", on which everything has a shape and nothing a value."""

    class Traveller(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(3, 5))
            self.register_buffer("positions", torch.zeros(7))
            self.places: list[str] = []

        def to(self, device: Any) -> Traveller:  # type: ignore[override]  # one of its signatures is enough
            self.places.append(str(device))
            return self

        def forward(self, input_ids: torch.Tensor, attention_mask: object) -> tuple[torch.Tensor]:
            assert {tensor.device.type for tensor in (input_ids, self.weight, self.positions)} == {"meta"}
            return (torch.zeros(len(input_ids), 77, 4, device=input_ids.device),)

    class Words:
        model_max_length = 77

        def __call__(self, words: list[str], **_: object) -> Any:
            ids = torch.zeros(len(words), 77, dtype=torch.long)
            return SimpleNamespace(input_ids=ids, attention_mask=ids)

    unet: Any = torch.nn.Linear(2, 2)
    unet.config, unet.dtype = SimpleNamespace(sample_size=4), torch.float32
    encoder = Traveller()
    prior = DiffusersPrior(
        identity=PriorIdentity("traveller", "", "", "MIT"),
        alphas_cumprod=torch.ones(10, device="meta"),
        prediction_type="epsilon",
        text_encoder=TextEncoder(Words(), encoder, "traveller"),
        unet=unet,
    )
    before, parkable = prior.num_bytes, prior.parkable_bytes
    prior.park_text_encoder()
    assert prior.encode_prompts(["a", "b"]).shape == (2, 77, 4)
    assert encoder.places == ["cpu"], "a copy visits the device; nothing comes back"
    assert encoder.weight.device.type == encoder.positions.device.type == "cpu"
    assert parkable == 3 * 5 * 4 + 7 * 4
    assert before - prior.num_bytes == parkable
    assert prior.parkable_bytes == 0


def test_parking_changes_no_embedding_and_frees_nothing_where_host_and_device_are_one(
    tiny_deepfloyd_folder: Path, pixel: ScorePrior
) -> None:
    parked = load_prior(config_of(tiny_deepfloyd_folder), dtype=torch.float32)
    assert parked.parkable_bytes == 0
    parked.park_text_encoder()
    assert torch.equal(parked.encode_prompts(["a red chair"]), pixel.encode_prompts(["a red chair"]))
