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

from dreamfoundry.diffusion.networks.cuda_graph import GraphRecorder
from dreamfoundry.diffusion.networks.replay import ReplayByShape
from dreamfoundry.diffusion.networks.text_encoder import TextEncoder
from dreamfoundry.diffusion.networks.vae_encoder import VaeEncoder, VaeLayout
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.settings.prior_identity import PriorIdentity


class DiffusersPrior:
    """The parts of a diffusers pipeline that guide: a latent prior with `vae`, else a pixel prior."""

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

        self._new_recorder = GraphRecorder if engine != "eager" and self.device.type == "cuda" else None
        self._vae = VaeEncoder(vae) if vae is not None else None
        if self._new_recorder and engine == "compiled":
            unet.compile_repeated_blocks()
            if self._vae:
                self._vae.compile()
        self.forget_shapes()
        self.picture_px = int(unet.config.sample_size) * (self._vae.downsampling if self._vae else 1)

    @property
    def num_bytes(self) -> int:
        """Bytes of the weights that stay on the device."""
        vae = self._vae.model if self._vae else None
        parts = (self._unet, vae, None if self.is_text_encoder_parked else self._text_encoder.model)
        return sum(_num_bytes(part) for part in parts if part is not None)

    @property
    def vae_rows(self) -> int:
        """Pictures per pass of the VAE encoder; 0 without one.

        Up to so many pictures keep their activations until their gradient comes; of more, all are computed once more.
        """
        return self._vae.rows if self._vae else 0

    @vae_rows.setter
    def vae_rows(self, rows: int) -> None:
        if self._vae and self._vae.rows != rows:
            self._vae.rows = rows
            self.forget_shapes()

    @property
    def vae_layout(self) -> VaeLayout:
        """Order of the VAE encoder in memory, of no consequence without one."""
        return self._vae.layout if self._vae else "channels_last"

    @vae_layout.setter
    def vae_layout(self, layout: VaeLayout) -> None:
        if self._vae:
            self._vae.set_layout(layout)
            self.forget_shapes()

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
        return signed if self._vae is None else self._vae(signed)

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
        new = self._new_recorder
        passing = new() if new else None
        # Of the model, not of this object: they would hold one another, and gigabytes would wait for the collector.
        self._denoise = ReplayByShape(partial(_denoise, self._unet), passing)
        if self._vae:
            self._vae.record_with(new() if new else None, passing)


def _denoise(unet: Any, sample: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
    output: Tensor = unet(sample, timesteps, encoder_hidden_states=embeds).sample
    return output


def _num_bytes(model: Any) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
