"""Weighted rows of a table: the gradient of the sparse product is the one of the library."""

from __future__ import annotations

import torch

from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.settings.field import FieldConfig
from support.random_fields import points_of, random_fields

SMALL = FieldConfig(level_resolutions=(3, 5), features_per_level=2, hidden_width=4, bound=1.5)


def fields_of(num_slots: int, config: FieldConfig = SMALL, dtype: torch.dtype = torch.float32) -> RadianceFields:
    return random_fields(num_slots, config, dtype)


def test_the_gradient_equals_that_of_the_library_lookup() -> None:
    fields, points = fields_of(2), points_of(2, 50)
    table = fields.parameters()["table"]
    indices, weights = (part.view(-1, 8) for part in fields.encoding.lookups(points))
    rows = torch.nn.functional.embedding_bag(indices, table.flatten(0, 1), mode="sum", per_sample_weights=weights)
    upstream = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(1))
    (expected,) = torch.autograd.grad(rows.view(2, 50, 4), table, upstream)
    (actual,) = torch.autograd.grad(fields.encode(points), table, upstream)
    torch.testing.assert_close(actual, expected)
