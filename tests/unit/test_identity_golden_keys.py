"""Requests whose keys must stay what they were: a new key builds a studio's whole library anew.

A key may change with OPTIMIZATION_VERSION or EXPORT_VERSION, and with nothing else: not when a
setting is renamed in Python, moved or given a default.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from dreamfoundry.identity import asset_key, field_key, recipe_digest
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import resolve_recipe, with_overrides
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import LoraIdentity, PriorIdentity, VaeIdentity

TOYBOX = PriorIdentity("dreamfoundry/toybox", "1", "sha256:0a", "Apache-2.0")
STUDIO = PriorIdentity("studio/model", "r7", "sha256:1b", "LicenseRef-Studio", research_only=True)
STYLED = dataclasses.replace(STUDIO, loras=(LoraIdentity("studio/clay", "sha256:2c", "LicenseRef-Studio", 0.75),))
QUICK = dataclasses.replace(STYLED, vae=VaeIdentity("studio/tiny", "sha256:3d", "MIT"))

MUSHROOM = Prompt("p1", "a red mushroom")
CHAIR = Prompt(
    "p2",
    "a caf\u00e9 chair",
    negative_text="blurry",
    seed=7,
    target_height_m=0.9,
    view_texts={"back": "the back of a chair"},
)

EVERY_KEY: Mapping[str, Any] = {
    "wording.backgrounds": ["white", "black"],
    "wording.front_half_angle_deg": 30.0,
    "guidance.method": "sdi",
    "guidance.guidance_scale": 7.5,
    "guidance.timestep_high": {"start": 0.98, "end": 0.5},
    "guidance.perp_neg": True,
    "guidance.inversion_steps": 4,
    "cameras.fovy_uniform_in": "focal_length",
    "shading.light": "point",
    "field.encoding": "hash",
    "field.hash_grid.num_levels": 8,
    "field.occupancy_resolution": 32,
    "render.later": [{"from_fraction": 0.5, "image_px": 128, "samples_per_ray": 96}],
    "losses.sparsity": 0.01,
    "optimize.num_steps": 123,
    "optimize.table_rate": 0.02,
    "optimize.head_rate": 0.002,
    "optimize.final_rate_share": 0.1,
    "looks.at": [0.1, 0.4],
    "looks.best_of": 3,
    "gates.min_prompt_gain": {"start": -1.0, "end": 0.0},
    "snapshot.view_px": 64,
}
"""At least one key of every table, by the names that recipes on disk use."""


@pytest.mark.parametrize(
    ("recipe", "overrides", "expected"),
    [
        ("toybox", {}, "d367b5b4e6e63bc195f556f7bc1957c5713d2df073558ded5d8b24bd5dd6aba1"),
        ("toybox", EVERY_KEY, "1a8d2da8d70ebc1ee93a085707671197c5a84793b67c87161162ddf11f743677"),
        ("dreamfusion", {}, "1a6f0ad239cf891880b87aaf7244de8adf4ec09275a016c42d7b4c6e9d7189a9"),
        ("dreamfusion", EVERY_KEY, "b42f67d22204149bfe81fdfb264770838e180c89b8e35036fdc609e409159783"),
        ("dreamfusion_hash", {}, "5f846a9763fb0bd0a43f91f6dd2b27a89f0b17f06b356456c51d899b4f82c072"),
        ("dreamfusion_hash", EVERY_KEY, "5927a2917fe9b3b61d7b0747103f7e91f03a488990bd54000fb13baafeaf2304"),
    ],
)
def test_a_recipe_keeps_its_digest(recipe: str, overrides: Mapping[str, Any], expected: str) -> None:
    assert recipe_digest(with_overrides(resolve_recipe(recipe), overrides)) == expected


@pytest.mark.parametrize(
    ("prompt", "recipe", "overrides", "prior", "expected"),
    [
        (MUSHROOM, "toybox", {}, TOYBOX, "740fd91ebcc9deb255a36508c9a3082b389e9b23825c3410215cb0ed551c51e3"),
        (CHAIR, "toybox", EVERY_KEY, TOYBOX, "1ea4abfafbbce58b807a65c1f6178589e4c0b5efe8f8ca7fd690a6ca60f76c0e"),
        (CHAIR, "dreamfusion", {}, STUDIO, "4f91127f579e5fc3a1256afa305d1ec91c75603ff29a41c7ac0dfcb628b25099"),
        (MUSHROOM, "dreamfusion_hash", {}, STYLED, "8966673f44cdeafbd1a1318c0b69ec14effbdc5a594a94be5f85b9dc3dcab4fb"),
        (MUSHROOM, "dreamfusion_hash", {}, QUICK, "1919c2c02cb4e9303f906d597c94a9ea50f2a23258c2cadb00607a087d2ad6ac"),
        (
            CHAIR,
            "dreamfusion_hash",
            EVERY_KEY,
            STYLED,
            "06056710fe9aa15b4c3395e877958f31180e1353eda345150865cf94ac04af92",
        ),
    ],
)
def test_a_request_keeps_its_field_key(
    prompt: Prompt, recipe: str, overrides: Mapping[str, Any], prior: PriorIdentity, expected: str
) -> None:
    assert field_key(prompt, with_overrides(resolve_recipe(recipe), overrides), prior) == expected


@pytest.mark.parametrize(
    ("profile", "height_m", "policy", "expected"),
    [
        ("preview", 1.0, MetadataPolicy(), "034ba79887cdc560b37d537403ca350255bccf7d52fd142e2d92b493b87c8b7c"),
        ("mobile", 1.0, MetadataPolicy(), "1fac748d43bfc88d1f9426f7db1a516bb2c1ef0205ffe01dc6a918edaa863239"),
        ("game_prop", 1.0, MetadataPolicy(), "dff5ab276e7b6b591e014512e3a7b0fcd3907a1b88c4b4b9297c52e2802477ac"),
        ("game_hero", 1.0, MetadataPolicy(), "4265913e59a7ebb43bedef5e97f58c70c43d1e6bf2b773e203a0a8409bfd3dd8"),
        ("cg", 1.0, MetadataPolicy(), "e4c44d197405b57e73438a4d6a842f0b7dcf001db85b04efe990f606c60de2b6"),
        (
            "game_prop",
            0.35,
            MetadataPolicy(
                embed_prompt=False,
                asset_license="CC0-1.0",
                copyright_holder="A Studio",
                rights_url="https://a.example/r",
            ),
            "8a7887727bd24dce980398b259418af67a72b00d4ead83e9ea5ef13de12cc1bd",
        ),
    ],
)
def test_a_request_keeps_its_asset_key(profile: str, height_m: float, policy: MetadataPolicy, expected: str) -> None:
    key = asset_key("f" * 64, export_profile(profile), height_m, dataclasses.asdict(policy))

    assert key == expected
