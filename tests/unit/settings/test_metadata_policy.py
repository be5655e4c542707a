"""The metadata of files is decided by the owner of a run, checked, and part of their key."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.errors import ConfigError
from dreamfoundry.identity import asset_key
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import FieldSnapshot, Prompt
from dreamfoundry.run.planning.plan import Plan
from dreamfoundry.run.planning.resolution import PlanInputs
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

PROMPT = Prompt("row-7", "a zebra", negative_text="quagga", view_texts={"back": "okapi"})
PROFILE = ExportProfile("tiny", (300,), (64,), thumbnail_px=32)
PRIOR = PriorIdentity("toybox", "r1", "d" * 64, "Apache-2.0")
CONFIDENTIAL = MetadataPolicy(embed_prompt=False)


def metadata(policy: MetadataPolicy, prior: PriorIdentity = PRIOR) -> dict[str, object]:
    return asset_metadata(PROMPT, prior, "f" * 64, "abcdef12" * 8, "e" * 64, PROFILE, policy)


@pytest.mark.parametrize("licence", ["CC0-1.0", "CC-BY-4.0 OR MIT", "LicenseRef-Studio-2026", "NOASSERTION"])
def test_a_licence_is_spdx_or_a_reference_to_words_of_ones_own(licence: str) -> None:
    assert metadata(MetadataPolicy(asset_license=licence))["asset_license"] == licence


@pytest.mark.parametrize("licence", ["", "CC BY", "free", "CC-BY-9.0", "Studio-2026", "MIT OR"])
def test_anything_else_is_refused_with_what_would_work(licence: str) -> None:
    with pytest.raises(ConfigError, match=r"asset_license = .*CC0-1.0.*LicenseRef-"):
        MetadataPolicy(asset_license=licence)


def test_another_spelling_is_refused_with_the_usual_one() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'CC-BY-4.0'"):
        MetadataPolicy(asset_license="cc-by-4.0")


@pytest.mark.parametrize("values", [{"rights_url": "example.org"}, {"copyright_holder": "A\nStudio"}])
def test_a_holder_is_one_line_and_an_address_is_one(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        MetadataPolicy(**values)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(MetadataPolicy)])
def test_every_choice_of_the_policy_is_in_the_asset_key(field: str) -> None:
    other: dict[str, Any] = {
        "embed_prompt": False,
        "asset_license": "MIT",
        "copyright_holder": "A Studio",
        "rights_url": "https://example.org/",
    }
    keys = {
        asset_key("f", PROFILE, 1.0, dataclasses.asdict(policy))
        for policy in (MetadataPolicy(), MetadataPolicy(**{field: other[field]}))
    }

    assert len(keys) == 2


def test_a_confidential_prompt_is_in_no_file_and_no_name(ball_snapshot: FieldSnapshot) -> None:
    bundle = export_asset(ball_snapshot, PROMPT, profile=PROFILE, metadata=metadata(CONFIDENTIAL))

    assert bundle.slug == "asset_abcdef12abcd"
    assert {name for name in bundle.files if name.endswith(".glb")} == {
        "asset_abcdef12abcd.glb",
        "asset_abcdef12abcd_collision.glb",
    }
    assert Glb("", bundle.files["asset_abcdef12abcd.glb"]).node_names == ["asset_abcdef12abcd_LOD0"]
    for name, data in bundle.files.items():
        for word in (b"zebra", b"quagga", b"okapi"):
            assert word not in data
            assert word.decode() not in name
    told = json.loads(bundle.files["asset.json"])["metadata"]
    assert told["prompt_sha256"] == hashlib.sha256(b"a zebra").hexdigest()


def test_the_digest_of_a_prompt_does_not_depend_on_how_its_letters_are_composed() -> None:
    digests = {
        asset_metadata(Prompt("p", text), PRIOR, "f" * 64, "a" * 64, "e" * 64, PROFILE)["prompt_sha256"]
        for text in ("caf\u00e9", "cafe\u0301")
    }

    assert len(digests) == 1


def test_a_research_prior_marks_its_assets_whatever_the_owner_says(ball_snapshot: FieldSnapshot) -> None:
    prior = dataclasses.replace(PRIOR, license="LicenseRef-Research", research_only=True)
    policy = MetadataPolicy(asset_license="CC0-1.0", copyright_holder="A Studio")
    bundle = export_asset(ball_snapshot, PROMPT, profile=PROFILE, metadata=metadata(policy, prior))

    text = bundle.files["a_zebra_abcdef12.glb"]
    assert b'"copyright":"(c) A Studio; AI-generated; license CC0-1.0; for research only"' in text
    assert b'"research_only":true' in text


def test_the_policy_of_a_run_is_in_the_keys_of_its_plan(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    keys = set()
    for policy in (MetadataPolicy(), CONFIDENTIAL):
        plan = Plan([PROMPT], library, PlanInputs(Recipe(), PROFILE, PRIOR, policy))
        keys |= {build.asset_key for build in plan.builds()}

    assert len(keys) == 2
