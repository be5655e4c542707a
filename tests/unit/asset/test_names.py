"""Names that a whole library can lie under in one folder: unique, readable, safe on Windows."""

import re

import pytest

from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.asset.names import file_stem
from dreamfoundry.identity import asset_key
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import EXPORT_PROFILES, ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity

PRIOR = PriorIdentity("org/prior", "r1", "d" * 64, "Apache-2.0")
SCRIPTS = ("красный гриб", "赤いキノコ", "红蘑菇", "كرسي أصفر", "노란 의자", "เก้าอี้", "पीली कुर्सी", "🍄", "¿?")


def stem(text: str, seed: int = 0, profile: ExportProfile = EXPORT_PROFILES["preview"], *, told: bool = True) -> str:
    field = f"{text}/{seed}"
    key = asset_key(field, profile, 1.0, {})
    metadata = asset_metadata(
        Prompt("p", text, seed=seed), PRIOR, field, key, "e" * 64, profile, MetadataPolicy(embed_prompt=told)
    )
    return file_stem(metadata)


def test_one_prompt_under_many_seeds_and_profiles_has_as_many_names() -> None:
    stems = {stem("a yellow chair", seed, profile) for seed in range(200) for profile in EXPORT_PROFILES.values()}

    assert len(stems) == 200 * len(EXPORT_PROFILES)
    assert all(re.fullmatch(r"a_yellow_chair_[0-9a-f]{8}", name) for name in stems)


def test_prompts_alike_in_their_first_words_have_names_of_their_own() -> None:
    text = "a very long description of a chair that goes on and on, "

    assert stem(text + "red") != stem(text + "blue")
    assert len(stem(text + "red")) <= 49


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("красный гриб", "krasnyy_grib"),
        ("赤いキノコ", "chiikinoko"),
        ("红蘑菇", "hongmogu"),
        ("κίτρινη καρέκλα", "kitrini_karekla"),
        ("a Café chair", "a_cafe_chair"),
        ("Straße", "strasse"),
        ("¿?", "asset"),
        ("3 apples", "a_3_apples"),
    ],
)
def test_other_scripts_are_written_in_latin_letters(text: str, words: str) -> None:
    assert re.fullmatch(rf"{words}_[0-9a-f]{{8,12}}", stem(text))


def test_prompts_in_every_script_have_names_of_their_own_that_any_system_takes() -> None:
    stems = [stem(text, seed) for text in SCRIPTS for seed in range(3)]

    assert len(set(stems)) == len(stems)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,48}", name) for name in stems)


@pytest.mark.parametrize("text", ["con", "NUL", "aux", "lpt1", "com0", "prn"])
def test_a_device_of_windows_is_no_name(text: str) -> None:
    assert stem(text) != text.lower()
    assert "." not in stem(text)


def test_prompts_that_are_not_told_are_told_apart_by_their_keys() -> None:
    stems = {stem("a zebra", seed, told=False) for seed in range(100)}

    assert len(stems) == 100
    assert all(re.fullmatch(r"asset_[0-9a-f]{12}", name) for name in stems)
