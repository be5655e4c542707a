"""Builds whose keys are those of their own content, as a plan makes them."""

from __future__ import annotations

from dreamfoundry.identity import asset_key, field_key
from dreamfoundry.records import BlobRef, Prompt
from dreamfoundry.run.messages import Build
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

PRIOR = PriorIdentity("stub", "1", "0" * 64, "Apache-2.0")
POLICY = MetadataPolicy()


def real_build(
    prompt: Prompt,
    *prompt_ids: str,
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
    profile: ExportProfile = ExportProfile(),  # noqa: B008 (frozen)
    prior: PriorIdentity = PRIOR,
    policy: MetadataPolicy = POLICY,
    snapshot: BlobRef | None = None,
) -> Build:
    """The build of `prompt`, for the rows `prompt_ids` beside its own."""
    field = field_key(prompt, recipe, prior)
    key = asset_key(field, profile, prompt.target_height_m, to_plain(policy))
    return Build(key, field, prompt, (prompt.prompt_id, *prompt_ids), recipe, profile, snapshot)
