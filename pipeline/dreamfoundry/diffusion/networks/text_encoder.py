"""Texts as embeddings: the tokenizer and the text encoder of a diffusers pipeline.

The encoder may be parked in the memory of the host: texts are encoded once per asset, so a slot waits for
one copy of the weights to the device, which is dropped afterwards, and then has the room.

Dimension key:  B texts · L tokens · D width
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import transformers
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from dreamfoundry.errors import PromptFailure

MAX_TOKENS = 77
"""No text encoder here was trained on longer texts (CLIP cannot, DeepFloyd's T5 was not)."""

TEXT_ENCODERS: Mapping[str, Any] = MappingProxyType(
    {
        "CLIPTextModel": transformers.CLIPTextModel,
        "T5EncoderModel": transformers.T5EncoderModel,
    }
)
"""Classes that `model_index.json` may name for `text_encoder`."""


class TextEncoder:
    """A tokenizer and its frozen encoder `model`; `prior_id` names the prior in messages."""

    def __init__(self, tokenizer: Any, model: Any, prior_id: str) -> None:
        self.model = model
        self.is_parked = False
        self._tokenizer = tokenizer
        self._prior_id = prior_id

    def park(self) -> None:
        """Keep the model in the memory of the host from now on; a copy of it comes to the device for each call."""
        self.is_parked = True
        self.model.to("cpu")

    @torch.no_grad()
    def encode(self, texts: Sequence[str], device: torch.device) -> Float[Tensor, "B L D"]:
        """Hidden states of `texts`, padded to the tokens it was trained on, in its own precision, on `device`.

        PromptFailure if a text has more tokens than that.
        """
        # DeepFloyd lower-cases and masks the padding; Stable Diffusion does neither.
        is_t5 = isinstance(self.model, transformers.T5EncoderModel)
        prepared = [text.lower().strip() for text in texts] if is_t5 else list(texts)

        max_tokens = min(self._tokenizer.model_max_length, MAX_TOKENS)
        for text, ids in zip(texts, self._tokenizer(prepared, verbose=False).input_ids, strict=True):
            if len(ids) > max_tokens:
                raise PromptFailure(
                    f"prompt {text!r} has {len(ids)} tokens with its view words, but {self._prior_id} "
                    f"reads {max_tokens}: shorten it (what is cut off would be the view)"
                )

        tokens = self._tokenizer(prepared, padding="max_length", max_length=max_tokens, return_tensors="pt")
        mask = tokens.attention_mask.to(device) if is_t5 else None
        weights = self._copies(device) if self.is_parked else {}
        inputs = {"input_ids": tokens.input_ids.to(device), "attention_mask": mask}
        hidden: Tensor = functional_call(self.model, weights, kwargs=inputs)[0]
        return hidden

    def _copies(self, device: torch.device) -> dict[str, Tensor]:
        tensors = (*self.model.named_parameters(), *self.model.named_buffers())
        return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors}
