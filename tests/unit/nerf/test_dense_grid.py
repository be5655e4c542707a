"""Dense grids: trilinear interpolation of their vertices, and its gradient."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor

from dreamfoundry.nerf.dense_grid import DenseGrid
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.settings.field import FieldConfig
from support.random_fields import points_of, random_fields

SMALL = FieldConfig(level_resolutions=(3, 5), features_per_level=2, hidden_width=4, bound=1.5)


def fields_of(num_slots: int, config: FieldConfig = SMALL, dtype: torch.dtype = torch.float32) -> RadianceFields:
    return random_fields(num_slots, config, dtype)


def slow_encoding(fields: RadianceFields, slot: int, point: Tensor) -> list[float]:
    """The trilinear definition, one corner after the other."""
    config = fields.config
    table = fields.parameters()["table"][slot]
    features, start = [], 0
    for side in config.level_resolutions:
        position = [(c + config.bound) / (2 * config.bound) * (side - 1) for c in point.tolist()]
        low = [min(max(math.floor(p), 0), side - 2) for p in position]
        total = torch.zeros(config.features_per_level, dtype=table.dtype)
        for corner in itertools.product((0, 1), repeat=3):
            weight = math.prod(p - b if o else 1 - (p - b) for p, b, o in zip(position, low, corner, strict=True))
            x, y, z = (b + o for b, o in zip(low, corner, strict=True))
            total += weight * table[start + (x * side + y) * side + z]
        features += total.tolist()
        start += side**3
    return features


def test_the_encoding_is_trilinear_interpolation_on_every_level() -> None:
    fields, points = fields_of(2, dtype=torch.float64), points_of(2, 20, torch.float64)
    slow = [[slow_encoding(fields, k, point) for point in points[k]] for k in range(2)]
    torch.testing.assert_close(fields.encode(points).detach(), torch.tensor(slow, dtype=torch.float64))


def test_grid_vertices_return_the_table_itself() -> None:
    config = dataclasses.replace(SMALL, level_resolutions=(3,))
    fields = fields_of(1, config)
    axis = torch.linspace(-1.5, 1.5, 3)
    vertices = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).view(1, -1, 3)
    torch.testing.assert_close(fields.encode(vertices), fields.parameters()["table"])


def test_the_gradient_of_the_encoding_is_the_numerical_one() -> None:
    fields, points = fields_of(2, dtype=torch.float64), points_of(2, 6, torch.float64)
    table = fields.parameters()["table"]
    assert torch.autograd.gradcheck(lambda _: fields.encode(points), (table,))


@pytest.mark.parametrize(("num_slots", "dtype"), [(42, torch.int32), (43, torch.int64)])
def test_rows_beyond_32_bits_are_counted_in_64(num_slots: int, dtype: torch.dtype) -> None:
    config = FieldConfig(level_resolutions=(256, 256, 256), features_per_level=1)
    rows, _ = DenseGrid(config, "meta").lookups(torch.empty(num_slots, 4, 3, device="meta"))
    assert rows.dtype == dtype
