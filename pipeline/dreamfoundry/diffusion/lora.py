"""LoRA (Hu et al., arXiv 2106.09685): a low-rank change of some layers, merged into the weights when a prior is loaded.

    W <- W + weight * alpha / rank * up @ down

Two families of files are in use, and both name the layers as diffusers does: what diffusers
saves, in peft's words or older ones ("unet.mid_block.….to_q.lora_A.weight", alpha in the header),
and what kohya's sd-scripts save ("lora_unet_mid_block_…_to_q.lora_down.weight", alpha beside it).
With every dot of a name read as an underscore they are one. Once merged, a LoRA costs a step nothing.

Dimension key:  O, I channels out and in · R rank
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dreamfoundry.errors import PriorUnavailable

_DOWN = re.compile(r"(.+)\.(lora_A|lora_down|lora\.down|lora_linear_layer\.down)\.weight")
_UP_OF = {
    "lora_A": "lora_B",
    "lora_down": "lora_up",
    "lora.down": "lora.up",
    "lora_linear_layer.down": "lora_linear_layer.up",
}
_PART_OF = {
    "lora_unet_": "unet",
    "unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "text_encoder_": "text_encoder",
}
_NUM_NAMED = 3


@dataclass(frozen=True)
class _Change:
    """The change of one layer by a file: alpha / rank * up @ down."""

    part: str
    layer: str
    down: Tensor
    up: Tensor
    alpha: float

    def delta(self, shape: torch.Size) -> Tensor:
        """The change of a weight of `shape`, [O, I] or that of a convolution; ValueError if it is another shape."""
        down, up = self.down.float().flatten(1), self.up.float().flatten(1)
        if len(up) != shape[0] or down.shape[1] != math.prod(shape[1:]) or up.shape[1] != len(down):
            raise ValueError(
                f"its {self.layer} is {tuple(self.up.shape)} @ {tuple(self.down.shape)}, "
                f"but that layer of this prior is {tuple(shape)}"
            )
        return (up @ down).mul_(self.alpha / len(down)).reshape(shape)


@torch.no_grad()
def merge_lora(file: Path, weight: float, unet: torch.nn.Module, text_encoder: torch.nn.Module) -> None:
    """Add the changes in `file`, times `weight`, to the layers of both models, in place.

    PriorUnavailable if it is no LoRA of a kind that can be merged, or names a layer that is not
    there or has another shape: such a file was trained for another model.
    """
    layers = {"unet": _layers(unet), "text_encoder": _layers(text_encoder)}
    try:
        changes = list(_read(file))

        # all of them before the first change, so that a foreign file changes nothing
        unknown = [change.layer for change in changes if change.layer not in layers[change.part]]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of its {len(changes)} layers are not in this prior ({_some(unknown)}), "
                "so it was trained for another model"
            )
        for change in changes:
            merged = layers[change.part][change.layer]
            merged.copy_(merged.float() + weight * change.delta(merged.shape))
    except (OSError, ValueError, SafetensorError) as error:
        raise PriorUnavailable(
            f"prior.loras.path = {str(file)!r} cannot be merged: {error}; leave it out, or take one for this prior"
        ) from error


def _layers(model: torch.nn.Module) -> Mapping[str, Tensor]:
    """The weight of every layer that a LoRA may change, under the layer's name with underscores.

    Versions of transformers differ in whether CLIP's layers lie in a `text_model`; files say that they do.
    """
    return {
        _flat(name).removeprefix("text_model_"): module.weight
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))
    }


def _read(file: Path) -> Iterator[_Change]:
    with safe_open(file, framework="pt") as tensors:
        header = _header(tensors.metadata() or {})
        remaining = set(tensors.keys())
        for key in sorted(remaining):
            if (match := _DOWN.fullmatch(key)) is None:
                continue
            name, kind = match.groups()
            up_key, alpha_key = f"{name}.{_UP_OF[kind]}.weight", f"{name}.alpha"
            part, layer = _place(name)
            if up_key not in remaining or not part:
                continue
            down = tensors.get_tensor(key)

            # Where nothing says otherwise alpha is the rank, that is, the scale is 1.
            alpha = float(header.get(f"{part}.lora_alpha", len(down)))
            if alpha_key in remaining:
                alpha = float(tensors.get_tensor(alpha_key))

            yield _Change(part, layer, down, tensors.get_tensor(up_key), alpha)
            remaining -= {key, up_key, alpha_key}

    if remaining:
        raise ValueError(
            f"what {_some(sorted(remaining))} are is not known; known are LoRAs (no LoHa, LoKr or DoRA) of a UNet and "
            "one text encoder, as diffusers and kohya's sd-scripts save them"
        )


def _header(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """Training settings in the header, as diffusers writes them: "unet.lora_alpha", "text_encoder.lora_alpha" …"""
    try:
        header = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ValueError("the lora_adapter_metadata in its header is no JSON object")
    for key, value in header.items():
        if value and key.endswith((".alpha_pattern", ".use_rslora", ".use_dora")):
            raise ValueError(f"its header says {key} = {value!r}, which is not supported")
    return header


def _place(name: str) -> tuple[str, str]:
    """(part, layer) that a name in a file stands for; ("", "") if it is for no part of a prior."""
    flat = _flat(name)
    for prefix, part in _PART_OF.items():
        if flat.startswith(prefix):
            return part, flat.removeprefix(prefix).removeprefix("text_model_")
    return "", ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NUM_NAMED]) + (", …" if len(names) > _NUM_NAMED else "")


def _flat(name: str) -> str:
    return name.replace(".", "_")
