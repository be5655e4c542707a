"""One prompt to the files of one asset, in this process: stages 2 to 7 without manifest, library or Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.asset.files.sidecar import with_provenance
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.distill.successive_halving import planned_steps
from dreamfoundry.identity import asset_key, field_key, recipe_digest
from dreamfoundry.records import FieldSnapshot, Prompt
from dreamfoundry.run.default_workers import cores_here
from dreamfoundry.run.outcomes import now_text
from dreamfoundry.run.workers.distiller import load_resident_prior
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import DEFAULT_POLICY
from dreamfoundry.settings.recipe import Recipe

PICTURE = "thumbnail.png"


@dataclass(frozen=True)
class PreviewRequest:
    """One prompt with everything that decides the bytes of its asset, and the device to use."""

    prompt: Prompt
    recipe: Recipe
    profile: ExportProfile
    device: str = "cpu"


@dataclass(frozen=True)
class PreviewStatus:
    """The phase under way: steps of all candidates in "distil", the stage in "export"."""

    phase: Literal["load", "distil", "export"]
    stage: str = ""
    steps_done: int = 0
    steps_left: int = 0


@dataclass(frozen=True)
class PreviewFiles:
    """Files by name; `glb` and `picture` are the names to open first."""

    contents: Mapping[str, bytes]
    glb: str
    picture: str


OnStatus = Callable[[PreviewStatus], None]


def make_preview(request: PreviewRequest, on_status: OnStatus = lambda status: None) -> PreviewFiles:
    """Distil and export `request`: the files that a build would publish, the sidecar with its recipe.

    Raises PromptFailure if the field or the asset is refused, PriorUnavailable if the weights cannot be used.
    """
    on_status(PreviewStatus("load"))
    torch.set_num_threads(cores_here())
    prior = load_resident_prior(request.recipe.prior, request.device, "graphs")

    started_s = time.monotonic()
    batch = SlotBatch(prior, request.recipe, 1, request.device)
    key = field_key(request.prompt, request.recipe, prior.identity)
    batch.admit(Assignment(request.prompt, key))
    snapshot = _distil(batch, on_status)
    optimize_s = time.monotonic() - started_s

    recipe, profile, policy = request.recipe, request.profile, DEFAULT_POLICY
    metadata = asset_metadata(
        request.prompt,
        prior.identity,
        key,
        asset_key(key, profile, request.prompt.target_height_m, to_plain(policy)),
        recipe_digest(recipe),
        profile,
        policy,
    )
    bundle = export_asset(
        snapshot,
        request.prompt,
        profile=profile,
        metadata=metadata,
        on_stage=lambda stage: on_status(PreviewStatus("export", stage)),
    )

    provenance = {
        "created_at": now_text(),
        "scale_source": request.prompt.scale_source,
        "optimize_s": optimize_s,
        "recipe": {name: value for name, value in to_plain(recipe).items() if name != "prior"},
    }
    sidecar = with_provenance(bundle.files["asset.json"], provenance)
    return PreviewFiles({**bundle.files, "asset.json": sidecar}, f"{bundle.slug}.glb", PICTURE)


def _distil(batch: SlotBatch, on_status: OnStatus) -> FieldSnapshot:
    """The field of the one assignment in `batch`; PromptFailure if every candidate is refused."""
    steps_done = 0
    steps_left = planned_steps(batch.recipe.probes, batch.recipe.optimize.num_steps)
    while True:
        on_status(PreviewStatus("distil", steps_done=steps_done, steps_left=steps_left))
        batch.step()
        steps_done += 1

        for result in batch.harvest():
            if result.failure is not None:
                raise result.failure
            assert result.snapshot is not None
            return result.snapshot
        # candidates that are refused add steps of the next one
        steps_left = sum(slot.steps_left for slot in batch.slots if slot is not None)
