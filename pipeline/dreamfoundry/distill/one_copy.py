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


def copied_at_once(values: Tree, device: torch.device | str) -> Tree:
    """`values`, a dataclass of tensors, tuples and further dataclasses on the host, with its tensors on `device`.

    On a CPU they stay where they are. What is no tensor is handed on as it is.
    """
    device = torch.device(device)
    if device.type == "cpu":
        return values

    tensors: list[Tensor] = []
    _mapped(values, lambda tensor: tensors.append(tensor) or tensor)
    starts, size = [], 0
    for tensor in tensors:
        starts.append(size)
        size += -(-tensor.nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES

    # torch hands pinned memory out again only when the copies from it are over
    buffer = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
    for tensor, start in zip(tensors, starts, strict=True):
        _place(buffer, start, tensor).copy_(tensor)
    moved = buffer.to(device, non_blocking=True)
    places = (_place(moved, start, tensor) for tensor, start in zip(tensors, starts, strict=True))
    return _mapped(values, lambda _: next(places))


def _place(buffer: Tensor, start: int, like: Tensor) -> Tensor:
    return buffer[start : start + like.nbytes].view(like.dtype).view(like.shape)


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
