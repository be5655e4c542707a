"""A distiller with a tiny recipe and an analytic prior, and slices for it."""

from __future__ import annotations

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.library.library import Library
from dreamfoundry.records import Prompt
from dreamfoundry.run.messages import FieldTask, RunSlice
from dreamfoundry.run.workers.distiller import Distiller
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

RECIPE = with_overrides(
    Recipe(),
    {
        "field.level_resolutions": [8],
        "render.image_px": 8,
        "render.samples_per_ray": 8,
        "optimize.num_steps": 2,
        "optimize.views_per_step": 1,
        "gates.min_mean_opacity": 0.0,
        "gates.max_mean_opacity": 1.0,
        "snapshot.grid_resolution": 16,
        "snapshot.num_views": 1,
        "snapshot.view_px": 16,
    },
)

LONGER = with_overrides(RECIPE, {"optimize.num_steps": 30})


def slice_of(*names: str, num_slots: int = 2) -> RunSlice:
    tasks = tuple(FieldTask(Prompt(name, f"a {name}"), f"field-{name}") for name in names)
    return RunSlice("distiller-0", RECIPE, num_slots, tasks, max_s=60.0)


def long_slice(*names: str, epoch: int = 1, max_s: float = 60.0, num_slots: int = 2) -> RunSlice:
    tasks = tuple(FieldTask(Prompt(name, f"a {name}"), f"field-{name}", epoch) for name in names)
    return RunSlice("distiller-0", LONGER, num_slots, tasks, max_s)


def one_step(*names: str, epoch: int = 1) -> RunSlice:
    return long_slice(*names, epoch=epoch, max_s=0.0)


def distiller_of(library: Library, checkpoint_s: float = float("inf"), prior: AnalyticPrior | None = None) -> Distiller:
    return Distiller(prior or AnalyticPrior(picture_px=8), library, checkpoint_s=checkpoint_s)


def snapshot_bytes(library: Library, field_key: str) -> bytes:
    ref = library.find_field(field_key)
    assert ref is not None
    return library.get_blob(ref)
