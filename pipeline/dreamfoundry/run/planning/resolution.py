"""From a prompt to everything that names its asset: recipe, profile, field key, asset key."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dreamfoundry.identity import asset_key, canonical_json, field_key
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import ExportProfile, export_profile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.metadata_policy import DEFAULT_POLICY, MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

_MAX_RECIPES = 256
"""Resolved recipes that are kept: most rows of a manifest share one."""


@dataclass(frozen=True)
class PlanInputs:
    """Everything that decides keys besides the rows; `profile` serves rows that name none."""

    recipe: Recipe
    profile: ExportProfile
    prior: PriorIdentity
    metadata_policy: MetadataPolicy = DEFAULT_POLICY


@dataclass(frozen=True)
class Resolved:
    """A request in full: the recipe with the row's overrides, and the keys that follow from all of it."""

    recipe: Recipe
    profile: ExportProfile
    field_key: str
    asset_key: str


class Resolver:
    """Resolves the prompts of one run."""

    def __init__(self, inputs: PlanInputs) -> None:
        self._inputs = inputs
        self._metadata_policy = asdict(inputs.metadata_policy)
        self._recipes: dict[bytes, Recipe] = {}

    def resolve(self, prompt: Prompt) -> Resolved:
        """Raises ConfigError for overrides or a profile that cannot be used; a scanned prompt has none."""
        recipe = self._recipe(prompt)
        profile = export_profile(prompt.budget_profile) if prompt.budget_profile else self._inputs.profile
        field = field_key(prompt, recipe, self._inputs.prior)
        key = asset_key(field, profile, prompt.target_height_m, self._metadata_policy)
        return Resolved(recipe, profile, field, key)

    def _recipe(self, prompt: Prompt) -> Recipe:
        changes = canonical_json(prompt.overrides)
        if changes not in self._recipes:
            if len(self._recipes) >= _MAX_RECIPES:
                self._recipes.clear()  # a manifest may have overrides of its own in each row
            self._recipes[changes] = with_overrides(self._inputs.recipe, prompt.overrides)
        return self._recipes[changes]
