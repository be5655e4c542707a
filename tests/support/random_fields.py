"""Fields that look like trained ones, and points to ask them at."""

import torch
from torch import Tensor

from dreamfoundry.nerf.field import RadianceFields, level_shares
from dreamfoundry.settings.field import FieldConfig

BOUND = 1.5
"""Half side of the cube that `points_of` fills."""


def random_fields(num_slots: int, config: FieldConfig, dtype: torch.dtype = torch.float32) -> RadianceFields:
    """Slots that look like trained ones: every parameter is far from its small start."""
    fields = RadianceFields(config, num_slots, dtype=dtype)
    for slot in range(num_slots):
        generator = torch.Generator().manual_seed(slot)
        for tensor in fields.parameters().values():
            with torch.no_grad():
                tensor[slot].copy_(torch.randn(tensor.shape[1:], generator=generator))
    return fields


def points_of(num_slots: int, num_points: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(99)
    return (torch.rand(num_slots, num_points, 3, generator=generator, dtype=dtype) * 2 - 1) * BOUND


def go_to(fields: RadianceFields, progress: list[float]) -> None:
    """Weigh the levels of each slot as at its progress in [0, 1]."""
    fields.set_level_shares(torch.tensor([level_shares(fields.config, done) for done in progress]))
