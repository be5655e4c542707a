"""Keys and seeds follow from content, and from nothing else."""

import dataclasses
import json
from typing import Any

import pytest

from dreamfoundry.identity import asset_key, asset_parts, canonical_json, digest, field_key, field_parts, seed_for, slug
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

PRIOR = PriorIdentity("toy", "1", "abc", "Apache-2.0")
PROMPT = Prompt("p1", "a red chair", seed=3)


def key(prompt: Prompt = PROMPT, recipe: Recipe | None = None, prior: PriorIdentity = PRIOR) -> str:
    return field_key(prompt, recipe or Recipe(), prior)


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "a blue chair"},
        {"negative_text": "blurry"},
        {"seed": 4},
        {"view_texts": {"back": "the back of a red chair"}},
    ],
)
def test_what_decides_the_field_changes_the_field_key(changed: dict[str, Any]) -> None:
    assert key(dataclasses.replace(PROMPT, **changed)) != key()


@pytest.mark.parametrize(
    "changed", [{"prompt_id": "p2"}, {"priority": 9}, {"tags": ("new",)}, {"target_height_m": 2.0}]
)
def test_what_does_not_decide_the_field_leaves_its_key(changed: dict[str, Any]) -> None:
    assert key(dataclasses.replace(PROMPT, **changed)) == key()


def test_recipe_and_weights_are_in_the_key_but_not_where_the_weights_lie() -> None:
    elsewhere = dataclasses.replace(Recipe(), prior=PriorConfig(path="/mnt/models/x", license="MIT"))

    assert key(recipe=with_overrides(Recipe(), {"optimize.num_steps": 2})) != key()
    assert key(prior=dataclasses.replace(PRIOR, digest="def")) != key()
    assert key(recipe=elsewhere) == key()


def test_profile_height_and_metadata_policy_are_in_the_asset_key() -> None:
    base = asset_key("f", export_profile("preview"), 1.0, {"embed_prompt": True})

    assert asset_key("f", export_profile("mobile"), 1.0, {"embed_prompt": True}) != base
    assert asset_key("f", export_profile("preview"), 2.0, {"embed_prompt": True}) != base
    assert asset_key("f", export_profile("preview"), 1.0, {"embed_prompt": False}) != base
    assert asset_key("g", export_profile("preview"), 1.0, {"embed_prompt": True}) != base


@pytest.mark.parametrize(
    ("prompt", "overrides"),
    [
        (PROMPT, {}),
        (Prompt("p", "cafe\u0301", seed=2**63 - 1, view_texts={"back": "\U0001fa91", "front": "x"}), {}),
        (PROMPT, {"optimize.table_rate": 1e-7, "wording.backgrounds": ["white"], "field.encoding": "hash"}),
        (PROMPT, {"guidance.timestep_high": {"start": 0.98, "end": 0.5}, "looks.at": [0.1, 0.4]}),
    ],
)
def test_a_key_can_be_made_again_from_its_parts_when_they_have_been_stored(
    prompt: Prompt, overrides: dict[str, Any]
) -> None:
    recipe, profile = with_overrides(Recipe(), overrides), export_profile("game_prop")
    field = json.loads(canonical_json(field_parts(prompt, recipe, PRIOR)))
    asset = json.loads(canonical_json(asset_parts(digest(field), profile, 0.1, {"embed_prompt": True})))

    assert digest(field) == field_key(prompt, recipe, PRIOR)
    assert digest(asset) == asset_key(digest(field), profile, 0.1, {"embed_prompt": True})


def test_equal_values_have_equal_bytes_whatever_their_order_and_unicode_form() -> None:
    assert canonical_json({"b": 1, "a": (1, 2)}) == canonical_json({"a": [1, 2], "b": 1})
    assert digest("caf\u00e9") == digest("cafe\u0301")


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


def test_seeds_differ_by_asset_candidate_and_purpose_and_fit_a_generator() -> None:
    seeds = {seed_for(f, c, p) for f in ("f", "g") for c in (0, 1) for p in ("field", "steps")}

    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_for("f", 0, "field") == seed_for("f", 0, "field")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A Red chair!", "a_red_chair"),
        ("caf\u00e9 table", "cafe_table"),
        ("3 wheels", "a_3_wheels"),
        ("\u6905\u5b50", "asset"),
        ("x" * 99, "x" * 40),
    ],
)
def test_a_slug_is_a_safe_file_name(text: str, name: str) -> None:
    assert slug(text) == name
