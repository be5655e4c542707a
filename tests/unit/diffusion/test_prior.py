"""One loader turns any diffusers folder, latent or pixel, into the same three answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from dreamfoundry.diffusion.prior import VAE_ROWS, DiffusersPrior, ScorePrior, load_prior
from dreamfoundry.diffusion.weights import prior_identity, weights_digest
from dreamfoundry.errors import ConfigError, PriorUnavailable, PromptFailure
from dreamfoundry.records import PriorIdentity
from dreamfoundry.settings.prior import PriorConfig


def config_of(folder: Path, **changes: Any) -> PriorConfig:
    return replace(PriorConfig(path=str(folder), license="MIT"), **changes)


@pytest.fixture(scope="module")
def latent(tiny_stable_diffusion_folder: Path) -> ScorePrior:
    return load_prior(config_of(tiny_stable_diffusion_folder), dtype=torch.float32)


@pytest.fixture(scope="module")
def pixel(tiny_deepfloyd_folder: Path) -> ScorePrior:
    return load_prior(config_of(tiny_deepfloyd_folder), dtype=torch.float32)


@pytest.fixture
def copied(tiny_deepfloyd_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_deepfloyd_folder, tmp_path / "prior"))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_latent_prior_answers_in_latents(latent: ScorePrior) -> None:
    assert latent.picture_px == 16
    embeds = latent.encode_prompts(["a red chair", ""])
    assert embeds.shape == (2, 77, 16)
    latents = latent.encode_pictures(torch.rand(2, 3, 20, 20))
    assert latents.shape == (2, 4, 8, 8)
    noise = latent.predict_noise(latents, torch.tensor([3, 990]), embeds)
    assert noise.shape == latents.shape
    assert noise.dtype == torch.float32
    assert noise.isfinite().all()


def test_a_pixel_prior_answers_in_signed_pixels(pixel: ScorePrior) -> None:
    assert pixel.picture_px == 8
    pictures = torch.rand(2, 3, 8, 8)
    signed = pixel.encode_pictures(pictures)
    assert torch.equal(signed, pictures * 2 - 1)
    noise = pixel.predict_noise(signed, torch.tensor([3, 990]), pixel.encode_prompts(["a red chair", ""]))
    assert noise.shape == (2, 3, 8, 8)


def test_larger_pictures_are_averaged_down_to_the_size_of_the_prior(pixel: ScorePrior) -> None:
    stripes = (torch.arange(32) % 2).float().expand(1, 3, 32, 32)
    assert torch.allclose(pixel.encode_pictures(stripes)[..., 1:-1], torch.zeros(1, 3, 8, 6), atol=1e-6)


def test_the_schedule_is_the_one_of_the_folder(latent: ScorePrior, tiny_stable_diffusion_folder: Path) -> None:
    named = PNDMScheduler.from_pretrained(tiny_stable_diffusion_folder, subfolder="scheduler")
    assert torch.equal(latent.alphas_cumprod, named.alphas_cumprod)


def test_the_learned_variance_is_no_part_of_the_noise(pixel: ScorePrior, tiny_deepfloyd_folder: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(tiny_deepfloyd_folder, subfolder="unet", low_cpu_mem_usage=False)
    noisy, timesteps, embeds = torch.randn(2, 3, 8, 8), torch.tensor([10, 500]), pixel.encode_prompts(["a", "b"])
    with torch.no_grad():
        six_channels = unet(noisy, timesteps, encoder_hidden_states=embeds).sample
    assert six_channels.shape[1] == 6
    assert torch.allclose(pixel.predict_noise(noisy, timesteps, embeds), six_channels[:, :3], atol=1e-5)


def test_half_precision_answers_nearly_the_same(pixel: ScorePrior, tiny_deepfloyd_folder: Path) -> None:
    half = load_prior(config_of(tiny_deepfloyd_folder), dtype=torch.bfloat16)
    noisy, timesteps = torch.randn(4, 3, 8, 8), torch.tensor([20, 300, 600, 990])
    answers = [
        prior.predict_noise(noisy, timesteps, prior.encode_prompts(["a red chair"] * 4)) for prior in (pixel, half)
    ]
    assert answers[1].dtype == torch.float32
    assert 0.0 < (answers[0] - answers[1]).square().mean() < 1e-3 * answers[0].square().mean()


def test_a_perfect_velocity_becomes_the_noise_that_was_added() -> None:
    scheduler = DDPMScheduler()
    clean, noise, timesteps = torch.rand(3, 3, 4, 4), torch.randn(3, 3, 4, 4), torch.tensor([1, 400, 999])

    class PerfectUNet:
        config = SimpleNamespace(sample_size=4)
        dtype = torch.float32

        def __call__(self, noisy: torch.Tensor, timesteps: torch.Tensor, encoder_hidden_states: object) -> Any:
            return SimpleNamespace(sample=scheduler.get_velocity(clean, noise, timesteps))

    prior = DiffusersPrior(
        identity=PriorIdentity("perfect", "", "", "MIT"),
        alphas_cumprod=scheduler.alphas_cumprod,
        prediction_type="v_prediction",
        tokenizer=None,
        text_encoder=None,
        unet=PerfectUNet(),
    )
    noisy = scheduler.add_noise(clean, noise, timesteps)
    assert torch.allclose(prior.predict_noise(noisy, timesteps, torch.zeros(3, 1, 1)), noise, atol=1e-5)


def test_pictures_receive_a_gradient_through_the_encoder_and_weights_do_not(latent: ScorePrior) -> None:
    assert isinstance(latent, DiffusersPrior)
    pictures = torch.rand(1, 3, 16, 16, requires_grad=True)
    latent.encode_pictures(pictures).sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().sum() > 0
    parts: tuple[Any, ...] = (latent._vae, latent._unet, latent._text_encoder)
    assert not any(weight.requires_grad for part in parts for weight in part.parameters())
    assert not any(part.training for part in parts)


def test_the_decoder_is_gone(latent: ScorePrior) -> None:
    assert isinstance(latent, DiffusersPrior)
    assert latent._vae is not None
    assert not [name for name, _ in latent._vae.named_parameters() if "decoder" in name or "post_quant" in name]


def test_encoding_in_passes_equals_encoding_one_by_one(latent: ScorePrior) -> None:
    rows = VAE_ROWS + 1
    together = torch.rand(rows, 3, 16, 16, requires_grad=True)
    alone = together.detach().clone().requires_grad_()
    probe = torch.randn(rows, 4, 8, 8)
    fast = latent.encode_pictures(together)
    slow = torch.cat([latent.encode_pictures(alone[row : row + 1]) for row in range(rows)])
    assert torch.allclose(fast, slow, atol=1e-5)
    (fast * probe).sum().backward()
    (slow * probe).sum().backward()
    torch.testing.assert_close(together.grad, alone.grad, atol=1e-5, rtol=1e-5)


def test_a_prediction_has_a_graph_only_where_its_input_brings_one(latent: ScorePrior, pixel: ScorePrior) -> None:
    for prior, shape in ((latent, (1, 4, 8, 8)), (pixel, (1, 3, 8, 8))):
        embeds = prior.encode_prompts(["a"])
        assert not embeds.requires_grad
        noisy = torch.randn(shape)
        assert prior.predict_noise(noisy, torch.tensor([1]), embeds).grad_fn is None
        noisy.requires_grad_()
        prior.predict_noise(noisy, torch.tensor([1]), embeds).sum().backward()
        assert noisy.grad is not None
        assert noisy.grad.abs().sum() > 0


def test_the_text_matters(latent: ScorePrior, pixel: ScorePrior) -> None:
    for prior in (latent, pixel):
        one, other, again = prior.encode_prompts(["a mug", "a car", "a mug"])
        assert torch.allclose(one, again, atol=1e-5)
        assert not torch.allclose(one, other, atol=1e-2)


def test_a_text_that_would_be_cut_off_is_refused(latent: ScorePrior) -> None:
    with pytest.raises(PromptFailure, match=r"has \d+ tokens .* reads 77: shorten it"):
        latent.encode_prompts(["word " * 30])


def test_the_identity_names_the_weights(tiny_deepfloyd_folder: Path) -> None:
    config = config_of(tiny_deepfloyd_folder, prior_id="someone/tiny", revision="abc")
    identity = load_prior(config).identity
    assert identity == prior_identity(config)
    assert (identity.prior_id, identity.revision, identity.license) == ("someone/tiny", "abc", "MIT")
    assert prior_identity(config_of(tiny_deepfloyd_folder)).prior_id == tiny_deepfloyd_folder.name


def test_the_bundled_prior_has_one_name_and_one_licence() -> None:
    identity = prior_identity(PriorConfig())
    assert (identity.prior_id, identity.license) == ("dreamfoundry/toybox", "Apache-2.0")
    with pytest.raises(ConfigError, match="must be left out for the bundled prior"):
        prior_identity(PriorConfig(license="MIT"))


def test_the_digest_changes_with_a_weight_and_not_with_a_neighbouring_file(copied: Path) -> None:
    before = weights_digest(copied)
    (copied / "safety_checker").mkdir()
    (copied / "safety_checker" / "model.safetensors").write_bytes(b"anything")
    assert weights_digest(copied) == before
    file = next((copied / "unet").glob("*.safetensors"))
    weights = load_file(file)
    weights["conv_in.bias"][0] += 1e-3
    save_file(weights, file, metadata={"format": "pt"})
    assert weights_digest(copied) != before
    with pytest.raises(PriorUnavailable, match=r"prior.digest = .* restore the weights"):
        load_prior(config_of(copied, digest=before))


def test_an_fp16_variant_is_used_where_it_is_all_there_is(copied: Path, pixel: ScorePrior) -> None:
    for part, name in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (copied / part / f"{name}.safetensors").rename(copied / part / f"{name}.fp16.safetensors")
    embeds = load_prior(config_of(copied), dtype=torch.float32).encode_prompts(["a mug"])
    assert torch.equal(embeds, pixel.encode_prompts(["a mug"]))


def test_identity_needs_no_torch(tiny_deepfloyd_folder: Path) -> None:
    program = (
        "import sys; from dreamfoundry.settings.prior import PriorConfig; from dreamfoundry.diffusion import weights; "
        f"print(weights.prior_identity(PriorConfig({str(tiny_deepfloyd_folder)!r}, license='MIT')).digest); "
        "sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    )
    package_root = Path(sys.modules["dreamfoundry"].__file__ or "").parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(package_root)}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == weights_digest(tiny_deepfloyd_folder)


def test_a_folder_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PriorUnavailable, match=r'nowhere.*model_index.json is missing.*prior.path = "toybox"'):
        load_prior(config_of(tmp_path / "nowhere"))


def test_a_folder_without_a_stated_licence_is_refused(tiny_deepfloyd_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"prior.licence = '': must name the licence"):
        load_prior(config_of(tiny_deepfloyd_folder, license=""))


def test_deepfloyd_needs_a_word_that_it_is_for_research(copied: Path) -> None:
    with pytest.raises(ConfigError, match=r"prior.research_only = true"):
        prior_identity(config_of(copied, license="LicenseRef-DeepFloyd-IF"))
    edit_json(copied / "text_encoder" / "config.json", d_model=4096)
    with pytest.raises(ConfigError, match=r"prior.research_only = true"):
        prior_identity(config_of(copied))
    assert prior_identity(config_of(copied, research_only=True)).research_only


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


def test_a_parked_text_encoder_visits_the_device_for_each_prompt_only() -> None:
    """The device is torch's "meta", on which everything has a shape and nothing a value."""

    class Traveller(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(3, 5))
            self.places: list[str] = []

        def to(self, device: Any) -> Traveller:  # type: ignore[override]  # one of its signatures is enough
            self.places.append(str(device))
            return self

        def forward(self, ids: torch.Tensor, attention_mask: object) -> tuple[torch.Tensor]:
            assert self.places[-1] == str(ids.device) == "meta"
            return (torch.zeros(len(ids), 77, 4, device=ids.device),)

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
        tokenizer=Words(),
        text_encoder=encoder,
        unet=unet,
    )
    before, parkable = prior.num_bytes, prior.parkable_bytes
    prior.park_text_encoder()
    assert prior.encode_prompts(["a", "b"]).shape == (2, 77, 4)
    assert encoder.places == ["cpu", "meta", "cpu"]
    assert parkable == 3 * 5 * 4
    assert before - prior.num_bytes == parkable
    assert prior.parkable_bytes == 0


def test_parking_changes_no_embedding_and_frees_nothing_where_host_and_device_are_one(
    tiny_deepfloyd_folder: Path, pixel: ScorePrior
) -> None:
    parked = load_prior(config_of(tiny_deepfloyd_folder), dtype=torch.float32)
    assert parked.parkable_bytes == 0
    parked.park_text_encoder()
    assert torch.equal(parked.encode_prompts(["a red chair"]), pixel.encode_prompts(["a red chair"]))
