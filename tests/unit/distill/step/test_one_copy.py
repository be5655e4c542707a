"""One copy to a device: values, dtypes and shapes arrive, as views of one buffer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dreamfoundry.distill.step.one_copy import ALIGNMENT_BYTES, copied_at_once, num_bytes_of, tensors_of


@dataclass(frozen=True)
class Inner:
    flags: Tensor
    name: str


@dataclass(frozen=True)
class Outer:
    grid: Tensor
    parts: tuple[Inner, ...]
    order: Tensor | None
    empty: Tensor


VALUES = Outer(
    grid=torch.arange(3.0)[:, None].expand(3, 5),
    parts=(
        Inner(torch.tensor([True, False, True]), "first"),
        Inner(torch.tensor([2**40, -1]), "second"),
    ),
    order=None,
    empty=torch.zeros(4, 0),
)


def test_everything_arrives_as_it_was_in_a_place_of_its_own() -> None:
    buffer = torch.empty(num_bytes_of(VALUES), dtype=torch.uint8)
    moved = copied_at_once(VALUES, torch.device("cpu"), buffer)

    for after, before in zip(tensors_of(moved), tensors_of(VALUES), strict=True):
        assert torch.equal(after, before)
        assert after.dtype == before.dtype
    assert [part.name for part in moved.parts] == ["first", "second"]
    assert moved.order is None
    assert {tensor.untyped_storage().data_ptr() for tensor in tensors_of(moved)} == {buffer.data_ptr()}
    starts = [tensor.data_ptr() - buffer.data_ptr() for tensor in tensors_of(moved) if tensor.numel()]
    assert len(set(starts)) == 3
    assert all(start % ALIGNMENT_BYTES == 0 for start in starts)


def test_on_a_cpu_the_tensors_stay_where_they_are() -> None:
    assert copied_at_once(VALUES, torch.device("cpu")) is VALUES


def test_on_a_device_shapes_and_dtypes_are_the_same() -> None:
    moved = copied_at_once(VALUES, torch.device("meta"))

    assert [(one.shape, one.dtype) for one in tensors_of(moved)] == [
        (one.shape, one.dtype) for one in tensors_of(VALUES)
    ]
    assert all(tensor.is_meta for tensor in tensors_of(moved))
