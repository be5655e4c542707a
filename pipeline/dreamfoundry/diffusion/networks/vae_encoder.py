"""Pictures as latents: the frozen encoder of a VAE, and the gradient on its way back through it.

The encoder is most of a step, so its activations are kept from the way there to the way back. Pictures
that are too many for that go through in parts of one size, each of which is computed once more on its
way back, as a checkpoint does: a third more work.

Dimension key:  B rows · C channels · H, W pixels · h, w of the latents
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from dreamfoundry.diffusion.networks.replay import (
    Recorder,
    ReplayByShape,
    ReplayWithGradient,
    WayBack,
    eager_with_gradient,
    without_recording,
)

VAE_ROWS = 4
"""Pictures whose activations are kept, where nobody has measured how many fit: about 1.4 GB each at 512 px."""

VaeLayout = Literal["channels_last", "contiguous"]
"""Order of weights and activations in memory. Convolutions of a GPU are faster with channels last, but torch
normalizes groups in the other order, with two copies for each."""

SMALLEST_GRADIENT = 2.0**-100
"""Rows with less than this count as zeros: powers of two far below could be flushed to zero."""

LARGEST_GRADIENT = 16.0
"""The largest element of a row's gradient enters a float16 encoder at half of this or more: in the middle of the powers
of two that float16 has for it. In bulk it is at 2^1, normal numbers end at 2^-14 and 2^16."""


class VaeEncoder:
    """Scaled latents of pictures in [-1, 1], differentiably, by the encoder of `model`.

    `model` is an AutoencoderKL or an AutoencoderTiny of diffusers; nothing ever looks at pictures of its decoder.
    Latents are the mean of the encoder's distribution times the scaling factor: its spread is far below
    the noise that is added, and a sample would only add variance to the gradient.

    `rows` is the number of pictures per pass.
    """

    def __init__(self, model: Any, rows: int = VAE_ROWS) -> None:
        self.model, self.rows = model, rows
        self.layout: VaeLayout = "channels_last"
        self.record_with(None, None)

    @property
    def downsampling(self) -> int:
        """Pixels of a picture per element of its latents, along a side: two for each block but the first."""
        return int(2 ** (len(self.model.config.block_out_channels) - 1))

    def record_with(self, keeping: Recorder | None, passing: Recorder | None) -> None:
        """Drop what was recorded so far, with its memory; record with these from now on, without them not at all.

        `keeping` must be the encoder's own: activations wait in its memory for their way back, while what
        `passing` recorded, the encoder's and others', runs.
        """
        if keeping is not None and keeping is passing:
            raise ValueError("a recorder that others record with would overwrite activations that wait for a gradient")
        encode = partial(_encode, self.model)
        self._has_recorders = keeping is not None
        self._keep = ReplayWithGradient(encode, keeping)
        self._encode = ReplayByShape(encode, passing)
        self._encode_backward = ReplayByShape(partial(_encode_backward, self.model), passing)

    def compile(self, backend: str = "inductor") -> None:
        """Compile the encoder: what lies between its convolutions becomes one kernel each. Takes minutes per shape."""
        self.model.encoder.compile(backend=backend, dynamic=False)

    def set_layout(self, layout: VaeLayout) -> None:
        """Bring the weights into another order in memory. What was recorded is then of no use any more."""
        self.layout = layout
        self.model.to(memory_format=_memory_format(layout))

    def __call__(self, signed: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        if not (torch.is_grad_enabled() and signed.requires_grad):
            parts = torch.split(signed, self.rows)
            return torch.cat([_encode(self.model, self._prepared(part)).float() for part in parts])
        if len(signed) <= self.rows and not self._keep.is_occupied:
            return self._with_gradient(signed, self._keep)
        parts = self._parts(signed)
        return torch.cat([self._with_gradient(part, self._recompute) for part in parts])[: len(signed)]

    def _parts(self, signed: Tensor) -> tuple[Tensor, ...]:
        """Parts of at most `rows` pictures; where they are recorded all of one size, the last one filled up."""
        if not self._has_recorders:
            return torch.split(signed, self.rows)
        size = math.ceil(len(signed) / math.ceil(len(signed) / self.rows))
        return torch.split(pad(signed, (0, 0, 0, 0, 0, 0, 0, -len(signed) % size)), size)

    def _prepared(self, signed: Tensor) -> Tensor:
        """`signed` in the precision of the model, and on a GPU in the order of its weights."""
        is_on_host = signed.device.type == "cpu"  # where the layout is the choice of the library
        order = torch.preserve_format if is_on_host else _memory_format(self.layout)
        return signed.to(self.model.dtype, memory_format=order)

    def _with_gradient(self, signed: Tensor, encode: Callable[[Tensor], tuple[Tensor, WayBack]]) -> Tensor:
        def encode_signed(signed: Tensor) -> tuple[Tensor, WayBack]:
            latents, way_back = encode(self._prepared(signed))
            return latents.float(), way_back

        result: Tensor = _Encoded.apply(signed, encode_signed, self.model.dtype)  # type: ignore[no-untyped-call]
        return result

    def _recompute(self, value: Tensor) -> tuple[Tensor, WayBack]:
        latents = self._encode(value)
        self._encode_backward.prepare(value, torch.empty_like(latents, memory_format=torch.contiguous_format))

        def way_back(gradient: Tensor) -> Tensor:
            with without_recording():
                return self._encode_backward(value, gradient.contiguous())

        return latents, way_back


class _Encoded(torch.autograd.Function):
    """Latents by `encode`, whose gradient is what their way back makes of theirs, all in single precision outside."""

    @staticmethod
    def forward(
        ctx: Any, signed: Tensor, encode: Callable[[Tensor], tuple[Tensor, WayBack]], dtype: torch.dtype
    ) -> Tensor:
        latents, ctx.way_back = encode(signed)
        ctx.dtype = dtype
        return latents

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        if ctx.dtype != torch.float16:
            return ctx.way_back(gradient.to(ctx.dtype)).float(), None, None

        # A mean over pixels is below the smallest numbers of float16; times a power of two it is the same, and is not.
        power = power_of_two(gradient) / LARGEST_GRADIENT
        return ctx.way_back((gradient / power).to(ctx.dtype)).float() * power, None, None


def power_of_two(values: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 1 1 1"]:
    """For each row the power of two just above its largest absolute value, on the device, without asking the host.

    Dividing and multiplying by it is exact. That of a row of zeros is tiny, that of a row that is not finite is NaN.
    """
    largest = values.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=SMALLEST_GRADIENT)
    return largest / torch.frexp(largest).mantissa


def _memory_format(layout: VaeLayout) -> torch.memory_format:
    return torch.channels_last if layout == "channels_last" else torch.contiguous_format


def _encode(model: Any, signed: Tensor) -> Tensor:
    encoded = model.encode(signed)
    # A tiny autoencoder answers with latents, a variational one with a distribution of them.
    mean: Tensor = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mean
    return mean * float(model.config.scaling_factor)


def _encode_backward(model: Any, signed: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of `_encode` with respect to its input; its activations live within this call only."""
    return eager_with_gradient(partial(_encode, model), signed)[1](gradient)
