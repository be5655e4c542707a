"""From the host to a device in one copy for which nobody waits.

A copy from ordinary memory makes the host wait until the device has finished everything before it. So what a
step needs is laid out side by side in one buffer of pinned memory, goes over at once, and is cut into views there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

ALIGNMENT_BYTES = 16
"""Each tensor in the buffer begins at a multiple of this: enough for every dtype, and for kernels that read vectors."""

Tree = TypeVar("Tree")


def copied_at_once(values: Tree, device: torch.device, buffer: Tensor | None = None) -> Tree:
    """`values`, a dataclass of tensors, tuples and further dataclasses on the host, with its tensors on `device`.

    What is no tensor is handed on as it is. `buffer`, `num_bytes_of(values)` long on the device, is written
    to if it is given; without one, tensors for a CPU stay where they are.
    """
    if buffer is None and device.type == "cpu":
        return values
    tensors = tensors_of(values)
    sizes = _sizes(tensors)

    # torch hands pinned memory out again only when the copies from it are over
    on_host = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    for place, tensor in zip(_places(on_host, sizes, tensors), tensors, strict=True):
        place.copy_(tensor)
    if buffer is None:
        buffer = torch.empty(sum(sizes), dtype=torch.uint8, device=device)
    buffer.copy_(on_host, non_blocking=True)
    places = iter(_places(buffer, sizes, tensors))
    moved: Tree = _mapped(values, lambda _: next(places))
    return moved


def num_bytes_of(values: object) -> int:
    """Bytes of a buffer for the tensors in `values`."""
    return sum(_sizes(tensors_of(values)))


def tensors_of(values: object) -> list[Tensor]:
    """The tensors in a dataclass, in the order of its fields."""
    tensors: list[Tensor] = []

    def noted(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    _mapped(values, noted)
    return tensors


def _sizes(tensors: list[Tensor]) -> list[int]:
    """Bytes of each tensor, and behind it of what fills it up."""
    return [size for tensor in tensors for size in (tensor.nbytes, -tensor.nbytes % ALIGNMENT_BYTES)]


def _places(buffer: Tensor, sizes: list[int], like: list[Tensor]) -> list[Tensor]:
    """Views of the buffer in the dtypes and shapes of these tensors."""
    pieces = buffer.split(sizes)[::2]
    return [piece.view(tensor.dtype).view(tensor.shape) for piece, tensor in zip(pieces, like, strict=True)]


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`value` with every tensor changed, in the order of the fields; parts without one are the same objects."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_mapped(part, change) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        changed = {name: _mapped(part, change) for name, part in parts.items()}
        return replace(value, **{name: part for name, part in changed.items() if part is not parts[name]})
    return value
