"""From rows to builds: resolved recipes, keys, what exists already. Writes nothing, no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from dreamfoundry.cluster.messages import Build
from dreamfoundry.config import Recipe
from dreamfoundry.diffusion.weights import TOYBOX
from dreamfoundry.export_profiles import ExportProfile, export_profile
from dreamfoundry.identity import asset_key, canonical_json, field_key
from dreamfoundry.recipes import with_overrides
from dreamfoundry.records import Outcome, PriorIdentity, Prompt
from dreamfoundry.store.outcomes import Library
from dreamfoundry.toybox.captions import COLORS, KINDS, VOCABULARY, unknown_words

METADATA_POLICY: Mapping[str, object] = {"embed_prompt": True}
"""What is written into the files of an asset; part of its key."""

EVERY_CLASS = "all"
"""The failure class that stands for all of them in a retry."""


def prompt_check(recipe: Recipe) -> Callable[[Prompt], str | None] | None:
    """What the prior of `recipe` refuses about a prompt before anything is loaded."""
    return _unknown_to_toybox if recipe.prior.path == TOYBOX else None


def vocabulary_hint(recipe: Recipe) -> str:
    """What a prompt may say, for the end of a list of refused rows; empty if there is no limit."""
    if recipe.prior.path != TOYBOX:
        return ""
    kinds = ", ".join(" = ".join((kind, *synonyms)) for kind, synonyms in KINDS.items())
    return (
        f"toybox knows the kinds {kinds}; the colours {', '.join(COLORS)}; "
        "and a, an, one, the, small, toy. Any other prior takes any words: --set prior.path=FOLDER"
    )


def _unknown_to_toybox(prompt: Prompt) -> str | None:
    texts = (prompt.text, prompt.negative_text, *prompt.view_texts.values())
    words = dict.fromkeys(word for text in texts for word in unknown_words(text))
    if not words:
        return None
    return "toybox was never trained on " + ", ".join(map(_with_suggestion, words))


def _with_suggestion(word: str) -> str:
    close = get_close_matches(word, VOCABULARY, n=1, cutoff=0.7)
    return f"{word!r} (did you mean {close[0]!r}?)" if close else repr(word)


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    `rows` has the asset key of every prompt id. `standing` are the outcomes that exist already
    for asset keys of this manifest and are left alone.
    """

    rows: Mapping[str, str]
    builds: tuple[Build, ...]
    standing: Mapping[str, Outcome]


def plan_builds(
    prompts: Iterable[Prompt],
    library: Library,
    *,
    recipe: Recipe,
    profile: ExportProfile,
    prior: PriorIdentity,
    retry_class: str = "",
) -> Plan:
    """Which assets to build for `prompts`, in their order.

    `profile` serves rows that name none. `retry_class` is the class of quarantined outcomes that
    are tried again, EVERY_CLASS for all. Rows that ask for the same asset share one build.
    """
    decided = library.decided()
    recipes: dict[bytes, Recipe] = {}
    rows: dict[str, str] = {}
    builds: dict[str, Build] = {}
    standing: dict[str, Outcome] = {}
    for prompt in prompts:
        changes = canonical_json(prompt.overrides)
        if changes not in recipes:
            recipes[changes] = with_overrides(recipe, prompt.overrides)
        resolved = recipes[changes]
        delivery = export_profile(prompt.budget_profile) if prompt.budget_profile else profile
        field = field_key(prompt, resolved, prior)
        asset = asset_key(field, delivery, prompt.target_height_m, METADATA_POLICY)
        rows[prompt.prompt_id] = asset
        if asset in builds:
            also = (*builds[asset].prompt_ids, prompt.prompt_id)
            builds[asset] = dataclasses.replace(builds[asset], prompt_ids=also)
            continue
        if asset in standing:
            continue
        outcome = library.get_outcome(asset) if asset in decided else None
        if outcome is not None and not _is_retried(outcome, retry_class):
            standing[asset] = outcome
            continue
        builds[asset] = Build(
            asset_key=asset,
            field_key=field,
            prompt=prompt,
            prompt_ids=(prompt.prompt_id,),
            recipe=resolved,
            profile=delivery,
            snapshot=library.find_field(field),
            instead_of=outcome,
        )
    return Plan(rows, tuple(builds.values()), standing)


def _is_retried(outcome: Outcome, retry_class: str) -> bool:
    return outcome.state == "quarantined" and retry_class in (EVERY_CLASS, outcome.failure_class)
