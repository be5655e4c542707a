"""`DiffusersPrior`: a `ScorePrior` over the parts of a diffusers pipeline.

A pipeline with a VAE is a latent prior (Stable Diffusion), one without is a pixel prior (DeepFloyd IF
stage I, the toybox). Both answer the same three calls, so there is one class for both.

Dimension key:  B rows · C channels · H, W pixels · h, w of the latents · L tokens · D width
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from dreamfoundry.diffusion.cuda_graph import GraphRecorder, ReplayByShape, with_replayed_gradient
from dreamfoundry.diffusion.text_encoder import TextEncoder
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.records import PriorIdentity

VAE_ROWS = 4
"""Pictures per pass of the VAE encoder, which is what bounds its memory."""


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
        text_encoder: TextEncoder,
        unet: Any,
        vae: Any | None = None,
        engine: PriorEngine = "eager",
    ) -> None:
        self.identity = identity
        self.alphas_cumprod = alphas_cumprod
        self.device = alphas_cumprod.device
        self._predicts_velocity = prediction_type == "v_prediction"
        self._text_encoder = text_encoder
        self._unet = unet
        self._vae = vae

        self._is_replayed = engine != "eager" and self.device.type == "cuda"
        if self._is_replayed and engine == "compiled":
            unet.compile_repeated_blocks()
        self.forget_shapes()

        # a latent is half a side smaller for each block of the VAE but the first
        downsampling = 2 ** (len(vae.config.block_out_channels) - 1) if vae is not None else 1
        self.picture_px = int(unet.config.sample_size) * downsampling

    @property
    def num_bytes(self) -> int:
        """Bytes of the weights that stay on the device."""
        parts = (self._unet, self._vae, None if self.is_text_encoder_parked else self._text_encoder.model)
        return sum(_num_bytes(part) for part in parts if part is not None)

    @property
    def parkable_bytes(self) -> int:
        """Bytes that `park_text_encoder` would free; 0 where device and host are one."""
        is_away = self.is_text_encoder_parked or self.device.type == "cpu"
        return 0 if is_away else _num_bytes(self._text_encoder.model)

    @property
    def precision(self) -> str:
        """The number format that the UNet computes in, as in "float16"."""
        return str(self._unet.dtype).removeprefix("torch.")

    @property
    def is_text_encoder_parked(self) -> bool:
        """True once `park_text_encoder` was called."""
        return self._text_encoder.is_parked

    def park_text_encoder(self) -> None:
        """Keep the text encoder in the memory of the host from now on; it comes to the device for each prompt."""
        self._text_encoder.park()

    def encode_prompts(self, texts: Sequence[str]) -> Float[Tensor, "B L D"]:
        return self._text_encoder.encode(texts, self.device).to(self._unet.dtype)

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
