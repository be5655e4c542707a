"""`ScorePrior`: the protocol of a frozen diffusion model that guides, and one implementation for any diffusers folder.

Any diffusers folder will do: `model_index.json` decides between a latent prior (it has a VAE:
Stable Diffusion) and a pixel prior (DeepFloyd IF stage I, the toybox). Both end in the same three
questions, so there is one class behind the protocol. Views of all assets are flattened into rows.

Dimension key:  B rows · C channels · H, W pixels · h, w of the latents · L tokens · D width
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
import transformers
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import interpolate

from dreamfoundry.diffusion.cuda_graph import GraphRecorder, ReplayByShape, with_replayed_gradient
from dreamfoundry.diffusion.lora import merge_lora
from dreamfoundry.diffusion.prior_parts import (
    load_text_encoder,
    load_tokenizer,
    load_unet,
    load_vae_encoder,
    read_schedule,
)
from dreamfoundry.diffusion.weights import (
    PriorEngine,
    lora_file,
    prior_folder,
    prior_identity,
    read_json,
)
from dreamfoundry.errors import PriorUnavailable, PromptFailure
from dreamfoundry.records import PriorIdentity
from dreamfoundry.settings.prior import PriorConfig

MAX_TOKENS = 77
"""No text encoder here was trained on longer texts (CLIP cannot, DeepFloyd's T5 was not)."""

VAE_ROWS = 4
"""Pictures per pass of the VAE encoder, which is what bounds its memory."""


@runtime_checkable
class ScorePrior(Protocol):
    """A frozen text-conditioned denoiser.

    *Latents* are what noise is added to: scaled VAE latents, or the pixels in [-1, 1] themselves where a
    prior has no VAE. Results are float32, except embeddings: these have the precision it computes in.
    """

    @property
    def identity(self) -> PriorIdentity: ...

    @property
    def picture_px(self) -> int:
        """Side of the square pictures that it was trained on."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def alphas_cumprod(self) -> Float[Tensor, " timesteps"]:
        """Share of signal (abar) left at each timestep, float32, on `device`."""
        ...

    def encode_prompts(self, texts: Sequence[str]) -> Float[Tensor, "B L D"]:
        """Embeddings of `texts`; PromptFailure if one is too long to be read to its end."""
        ...

    def encode_pictures(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Latents of display-referred sRGB pictures in [0, 1], differentiably."""
        ...

    def predict_noise(
        self, noisy: Float[Tensor, "B C h w"], timesteps: Int[Tensor, " B"], embeds: Float[Tensor, "B L D"]
    ) -> Float[Tensor, "B C h w"]:
        """The noise in `noisy` as the prior sees it, differentiably in `noisy`.

        The weights are frozen, so there is a graph only where an input brings one along.
        """
        ...


def load_prior(
    config: PriorConfig, *, device: str = "cpu", dtype: torch.dtype | None = None, engine: PriorEngine = "graphs"
) -> DiffusersPrior:
    """The prior that `config` names, frozen, on `device`.

    `dtype` defaults to `usual_dtype`; T5 computes in bfloat16 where that is float16, which its
    activations overflow. `engine` has a meaning on CUDA only. Raises ConfigError for a licence that
    was not stated, and PriorUnavailable if weights are missing, damaged, not the configured ones, or
    of a kind that cannot guide, or if a LoRA is not one for this model.
    """
    identity = prior_identity(config)
    folder = prior_folder(config)
    index = read_json(folder / "model_index.json")
    dtype = usual_dtype(device) if dtype is None else dtype

    try:
        alphas_cumprod, prediction_type = read_schedule(folder / "scheduler")
        unet = load_unet(folder / "unet", dtype)
        text_encoder = load_text_encoder(folder / "text_encoder", index, dtype)
        for lora in config.loras:
            merge_lora(lora_file(lora), lora.weight, unet, text_encoder)

        return DiffusersPrior(
            identity=identity,
            alphas_cumprod=alphas_cumprod.to(device),
            prediction_type=prediction_type,
            tokenizer=load_tokenizer(folder / "tokenizer", index),
            text_encoder=text_encoder.to(device),
            unet=unet.to(device),
            vae=load_vae_encoder(folder / "vae", dtype).to(device) if index.get("vae") else None,
            engine=engine,
        )
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


class DiffusersPrior:
    """The parts of a diffusers pipeline that guide: a latent prior with `vae`, else a pixel prior.

    The VAE has no decoder (nothing ever looks at its pictures). Latents are the mean of the
    encoder's distribution times the scaling factor: its spread is far below the noise that is
    added, and a sample would only add variance to the gradient.
    """

    def __init__(
        self,
        *,
        identity: PriorIdentity,
        alphas_cumprod: Float[Tensor, " timesteps"],
        prediction_type: str,
        tokenizer: Any,
        text_encoder: Any,
        unet: Any,
        vae: Any | None = None,
        engine: PriorEngine = "eager",
    ) -> None:
        self.identity = identity
        self.alphas_cumprod = alphas_cumprod
        self.device = alphas_cumprod.device
        self._predicts_velocity = prediction_type == "v_prediction"
        self._tokenizer = tokenizer
        self._text_encoder = text_encoder
        self._unet = unet
        self._vae = vae
        self.is_text_encoder_parked = False
        self._is_replayed = engine != "eager" and self.device.type == "cuda"
        if self._is_replayed and engine == "compiled":
            unet.compile_repeated_blocks()
        self.forget_shapes()
        downsampling = 2 ** (len(vae.config.block_out_channels) - 1) if vae is not None else 1
        self.picture_px = int(unet.config.sample_size) * downsampling

    @property
    def num_bytes(self) -> int:
        """Bytes of the weights that stay on the device."""
        parts = (self._unet, self._vae, None if self.is_text_encoder_parked else self._text_encoder)
        return sum(_num_bytes(part) for part in parts if part is not None)

    @property
    def parkable_bytes(self) -> int:
        """Bytes that `park_text_encoder` would free; 0 where device and host are one."""
        is_away = self.is_text_encoder_parked or self.device.type == "cpu"
        return 0 if is_away else _num_bytes(self._text_encoder)

    @property
    def precision(self) -> str:
        """The number format that the UNet computes in, as in "float16"."""
        return str(self._unet.dtype).removeprefix("torch.")

    def park_text_encoder(self) -> None:
        """Keep the text encoder in the memory of the host from now on; it comes to the device for each prompt.

        Texts are encoded once per asset, so a slot waits for one transfer and then has the room.
        """
        self.is_text_encoder_parked = True
        self._text_encoder.to("cpu")

    @torch.no_grad()
    def encode_prompts(self, texts: Sequence[str]) -> Float[Tensor, "B L D"]:
        is_t5 = isinstance(self._text_encoder, transformers.T5EncoderModel)
        # DeepFloyd lower-cases and masks the padding; Stable Diffusion does neither.
        words = [text.lower().strip() for text in texts] if is_t5 else list(texts)
        limit = min(self._tokenizer.model_max_length, MAX_TOKENS)
        for text, ids in zip(texts, self._tokenizer(words, verbose=False).input_ids, strict=True):
            if len(ids) > limit:
                raise PromptFailure(
                    f"prompt {text!r} has {len(ids)} tokens with its view words, but {self.identity.prior_id} "
                    f"reads {limit}: shorten it (what is cut off would be the view)"
                )
        tokens = self._tokenizer(words, padding="max_length", max_length=limit, return_tensors="pt")
        mask = tokens.attention_mask.to(self.device) if is_t5 else None
        try:
            if self.is_text_encoder_parked:
                self._text_encoder.to(self.device)
            hidden: Tensor = self._text_encoder(tokens.input_ids.to(self.device), attention_mask=mask)[0]
        finally:
            if self.is_text_encoder_parked:
                self._text_encoder.to("cpu")
        return hidden.to(self._unet.dtype)

    def encode_pictures(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        side = (self.picture_px, self.picture_px)
        if tuple(pictures.shape[-2:]) != side:
            pictures = interpolate(pictures, side, mode="bilinear", antialias=True, align_corners=False)
        signed = pictures * 2.0 - 1.0
        if self._vae is None:
            return signed
        rows = torch.split(signed.to(self._vae.dtype), VAE_ROWS)
        if len(rows) == 1:
            return _encode(self._vae, rows[0]).float()
        # One pass may keep its activations; several recompute theirs on the way back, one at a time.
        return torch.cat([with_replayed_gradient(self._encode, self._encode_backward, part) for part in rows]).float()

    def predict_noise(
        self, noisy: Float[Tensor, "B C h w"], timesteps: Int[Tensor, " B"], embeds: Float[Tensor, "B L D"]
    ) -> Float[Tensor, "B C h w"]:
        sample = noisy.to(self._unet.dtype, memory_format=torch.channels_last)
        output = self._denoise(sample, timesteps, embeds.to(self._unet.dtype))
        # DeepFloyd's second half of the channels is a learned variance: no part of the score.
        prediction = output[:, : noisy.shape[1]].float()
        if not self._predicts_velocity:
            return prediction
        signal = self.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        return signal.sqrt() * prediction + (1.0 - signal).sqrt() * noisy

    def forget_shapes(self) -> None:
        """Drop what was recorded for the numbers of rows so far, with its memory."""
        recorder = GraphRecorder() if self._is_replayed else None
        # Of the models, not of this object: they would hold one another, and gigabytes would wait for the collector.
        self._denoise = ReplayByShape(partial(_denoise, self._unet), recorder)
        self._encode = ReplayByShape(partial(_encode, self._vae), recorder)
        self._encode_backward = ReplayByShape(partial(_encode_backward, self._vae), recorder)


def _denoise(unet: Any, sample: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
    output: Tensor = unet(sample, timesteps, encoder_hidden_states=embeds).sample
    return output


def _encode(vae: Any, signed: Tensor) -> Tensor:
    mean: Tensor = vae.encode(signed).latent_dist.mean
    return mean * float(vae.config.scaling_factor)


def _encode_backward(vae: Any, signed: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of `_encode` with respect to its input; its activations live within this call only."""
    with torch.enable_grad():
        leaf = signed.detach().requires_grad_()
        (result,) = torch.autograd.grad(_encode(vae, leaf), leaf, gradient)
    return result


def _num_bytes(model: Any) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
