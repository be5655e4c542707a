"""A recipe of a few steps on a CPU, and prompts for it."""

import torch

from dreamfoundry.distill.slot import Assignment
from dreamfoundry.distill.step.inputs import SlotRates
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

SMALL = with_overrides(
    Recipe(),
    {
        "optimize.num_steps": 6,
        "optimize.views_per_step": 2,
        "optimize.warmup_fraction": 0.1,
        "render.image_px": 16,
        "render.samples_per_ray": 12,
        "field.level_resolutions": [8],
        "field.hidden_width": 8,
        "snapshot.grid_resolution": 16,
        "snapshot.num_views": 2,
        "snapshot.view_px": 16,
        "gates.min_mean_opacity": 0.0,
        "gates.max_mean_opacity": 1.0,
    },
)


def assignment(name: str) -> Assignment:
    return Assignment(Prompt(name, f"a {name} ball"), field_key=f"key of {name}")


def all_of(num_slots: int) -> SlotRates:
    """The configured rates for slots that are all occupied."""
    return SlotRates(torch.ones(num_slots), torch.ones(num_slots, dtype=torch.bool))
