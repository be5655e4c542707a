"""One copy to a device: values, dtypes and shapes arrive, as views of one buffer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dreamfoundry.distill.one_copy import ALIGNMENT_BYTES, _through_buffer, copied_at_once


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


def tensors_of(values: Outer) -> list[Tensor]:
    return [values.grid, values.parts[0].flags, values.parts[1].flags, values.empty]


def test_everything_arrives_as_it_was_in_a_place_of_its_own() -> None:
    moved = _through_buffer(VALUES, torch.device("cpu"))

    for after, before in zip(tensors_of(moved), tensors_of(VALUES), strict=True):
        assert torch.equal(after, before)
        assert after.dtype == before.dtype
    assert [part.name for part in moved.parts] == ["first", "second"]
    assert moved.order is None
    assert {tensor.untyped_storage().data_ptr() for tensor in tensors_of(moved)[:3]} == {
        moved.grid.untyped_storage().data_ptr()
    }
    assert all(
        tensor.data_ptr() % ALIGNMENT_BYTES == moved.grid.data_ptr() % ALIGNMENT_BYTES
        for tensor in tensors_of(moved)[:3]
    )


def test_on_a_cpu_the_tensors_stay_where_they_are() -> None:
    assert copied_at_once(VALUES, "cpu") is VALUES


def test_on_a_device_shapes_and_dtypes_are_the_same() -> None:
    moved = copied_at_once(VALUES, "meta")

    assert [(one.shape, one.dtype) for one in tensors_of(moved)] == [
        (one.shape, one.dtype) for one in tensors_of(VALUES)
    ]
    assert all(tensor.is_meta for tensor in tensors_of(moved))
