"""Recipes: presets load, overrides change one key, nonsense is refused by name."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.distillation import CameraConfig
from dreamfoundry.settings.export_profiles import EXPORT_PROFILES
from dreamfoundry.settings.loading import bundled_recipe, recipe_from_toml, resolve_profile, with_overrides
from dreamfoundry.settings.recipe import Recipe
from dreamfoundry.settings.values import Ramp


def test_the_presets_of_the_package_load_and_differ() -> None:
    assert bundled_recipe("toybox") != bundled_recipe("dreamfusion")


def test_a_file_keeps_the_defaults_of_keys_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[optimize]\nnum_steps = 7\n[losses]\nopacity = { start = 0.0, end = 1.0 }\n")
    recipe = recipe_from_toml(path)

    assert recipe.optimize.num_steps == 7
    assert recipe.losses.opacity == Ramp(0.0, 1.0)
    assert recipe.cameras == CameraConfig()


def test_a_file_may_start_from_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "toybox"\n[optimize]\nnum_steps = 7\n[losses.opacity]\nstart = 0.0\nend = 1.0\n')

    expected = with_overrides(
        bundled_recipe("toybox"), {"optimize.num_steps": 7, "losses.opacity.start": 0.0, "losses.opacity.end": 1.0}
    )
    assert recipe_from_toml(path) == expected


def test_the_preset_for_gpus_is_dreamfusions_with_other_samples_and_another_encoding() -> None:
    changes = {"field.encoding": "hash", "field.occupancy_resolution": 32, "render.samples_per_ray": 128}
    assert bundled_recipe("dreamfusion_hash") == with_overrides(bundled_recipe("dreamfusion"), changes)


def test_an_override_changes_one_key_and_nothing_else() -> None:
    recipe = with_overrides(Recipe(), {"guidance.guidance_scale": 8})

    assert recipe.guidance.guidance_scale == 8.0
    assert with_overrides(recipe, {"guidance.guidance_scale": 101.0}) == Recipe()


def test_a_key_keeps_its_stored_name_whatever_the_field_is_called_in_python() -> None:
    recipe = with_overrides(Recipe(), {"optimize.table_rate": 0.5})

    assert recipe.optimize.table_lr == 0.5
    with pytest.raises(ConfigError, match=r"optimize.table_lr: unknown key; did you mean 'table_rate'"):
        with_overrides(Recipe(), {"optimize.table_lr": 0.5})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"optimise.num_steps": 3}, "optimise: unknown key; did you mean 'optimize'"),
        ({"optimize.num_step": 3}, "did you mean 'num_steps'"),
        ({"optimize.num_steps": "many"}, "optimize.num_steps = 'many': must be of type int"),
        ({"optimize.num_steps": True}, "must be of type int"),
        ({"optimize.num_steps": 0}, "must be from 1 to 1000000"),
        ({"guidance.guidance_scale": 0.5}, "guidance.guidance_scale = 0.5: must be at least 1"),
        ({"guidance.guidance_scale": float("nan")}, "must be a finite number"),
        ({"guidance.method": "magic"}, "must be one of 'sds'"),
        ({"guidance.timestep_low": 0.99}, "0 <= low <= high <= 1"),
        ({"guidance.gradient_clip": {"start": 0.0, "end": 2.0}}, "must be positive from start to end, or 0 (off)"),
        ({"guidance.inversion_steps": 0}, "guidance.inversion_steps = 0: must be from 1"),
        ({"guidance.inversion_eta": 1.5}, "guidance.inversion_eta = 1.5: must be from 0"),
        ({"guidance.inversion_overshoot": -0.1}, "guidance.inversion_overshoot = -0.1: must be from 0"),
        ({"guidance.perp_neg": True, "wording.azimuth_words": ["a", "b", "c", "d", "e", "f"]}, "multiple of 4 words"),
        ({"field.all_levels_from_fraction": 2.0}, "must be a fraction of the steps"),
        ({"shading.light_distance": [1.5, 0.8]}, "rising pair of positive scene units"),
        ({"cameras.elevation_deg": [10.0]}, "must have 2 items"),
        ({"cameras.elevation_deg": [40.0, 10.0]}, "rising pair"),
        ({"cameras.fovy_deg": "wide"}, "must be a list"),
        ({"field": 3}, "must be a table"),
        ({"wording.text": "no placeholder"}, "must contain {prompt}"),
        ({"optimize.num_steps": 3, "optimize.num_steps.more": 4}, "contradicts another override"),
        ({"optimize.num_steps": 3, "optimize": {"num_steps": 4}}, "contradicts another override"),
        ({"optimize": {"num_steps": 4}, "optimize.num_steps": 3}, "contradicts another override"),
        ({"losses.opacity": 1.0, "losses.opacity.start": 0.5}, "contradicts another override"),
        ({"optimize.num_steps": 10**19}, "must be from 1 to 1000000"),
        ({"optimize.num_steps": 10**400}, "must be from 1 to 1000000"),
        ({"guidance.guidance_scale": 10**400}, "must be a finite number"),
        ({"looks.max_restarts": 10**19}, "must be from 0"),
        ({"looks.num_views": 10**19}, "must be from 4"),
        ({"looks.step_budget": 1e300}, "must be from 1"),
        ({"field.hidden_width": 10**19}, "must be from 1 to 1024"),
        ({"field.features_per_level": 0}, "must be from 1 to 64"),
        ({"snapshot.num_views": 10**19}, "must be from 1 to 256"),
        ({"snapshot.view_px": 10**19}, "must be from 8 to 2048"),
    ],
)
def test_nonsense_is_refused_with_key_value_and_rule(overrides: Mapping[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        with_overrides(Recipe(), overrides)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optimize\n", "not valid TOML"),
        ("speed = 3\n", "speed: unknown key; known keys here: prior, wording"),
        ('base = "toybox"\nspeed = 3\n', "speed: unknown key; known keys here: prior, wording"),
        ('base = "toys"\n', "base = 'toys': must be one of dreamfusion, dreamfusion_hash, toybox"),
        ("base = 3\n", "base = 3: must be one of dreamfusion"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        recipe_from_toml(path)


def test_a_missing_file_and_an_unknown_preset_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        recipe_from_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="dreamfusion, dreamfusion_hash, toybox"):
        bundled_recipe("stable")


def profile_file(folder: Path, text: str, name: str = "my_props.toml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_a_profile_of_a_studio_changes_any_keys_of_its_base(tmp_path: Path) -> None:
    text = 'base = "game_prop"\ntriangles = [8000, 500]\ntexture_px = [1024, 256]\nweb = true\n'

    profile = resolve_profile(profile_file(tmp_path, text))

    expected: dict[str, Any] = {"name": "my_props", "triangles": (8000, 500), "texture_px": (1024, 256), "web": True}
    assert profile == dataclasses.replace(EXPORT_PROFILES["game_prop"], **expected)


def test_a_profile_may_have_a_name_of_its_own_and_no_base(tmp_path: Path) -> None:
    profile = resolve_profile(profile_file(tmp_path, 'name = "turn"\nturntable_frames = 48\n'))

    assert profile == dataclasses.replace(EXPORT_PROFILES["preview"], name="turn", turntable_frames=48)
    assert resolve_profile("cg") == EXPORT_PROFILES["cg"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('base = "prop"\n', "base = 'prop': must be one of preview, mobile"),
        ("base = 3\n", "base = 3: must be one of"),
        ("triangels = [100]\n", "triangels: unknown key; did you mean 'triangles'"),
        ("web = 1\n", "web = 1: must be of type bool"),
        ("triangles = 8000\n", "triangles = 8000: must be a list"),
        ("triangles = [8000, 4000]\n", "must name the same number of levels, from 1 to 8"),
        ("triangles = [40000]\n", r"triangles = \(40000,\): must be from 100 to 30000"),
        ("triangles = [500, 8000]\ntexture_px = [64, 64]\n", "must fall from level to level"),
        (
            'base = "game_prop"\nshared_atlas = true\ntexture_px = [1024, 512, 256, 128]\n',
            r"texture_px = \(1024, 512, 256, 128\): must name one size for all levels where shared_atlas is true",
        ),
        ("texture_px = [500]\n", "must be powers of two from 64 to 4096"),
        ("collision_hulls = 9\n", "collision_hulls = 9: must be from 0 to 8"),
        ("collision_hull_vertices = 64\n", "collision_hull_vertices = 64: must be from 8 to 32"),
        ("collision_hulls = 0\nengine_bundles = true\n", "engine_bundles = True: must be false where"),
        ("thumbnail_px = 9000\n", "thumbnail_px = 9000: must be from 32 to 2048"),
        ("turntable_frames = -1\n", "turntable_frames = -1: must be from 0 to 360"),
        ("turntable_px = 33\n", "turntable_px = 33: must be even"),
        ("unwrap_limit_s = 0\n", "unwrap_limit_s = 0.0: must be from 0.001 to 3600"),
        ('pivot = "top"\n', "pivot = 'top': must be one of 'base_center', 'center'"),
        ('name = "-x"\n', "name = '-x': must be 1 to 40 of A-Z a-z 0-9 _ -, no - in front"),
        ('name = "Game_Prop"\n', "name = 'Game_Prop': is that of a profile of the package"),
        ('name = "a b"\n', "name = 'a b': must be 1 to 40 of"),
        ('name = "game_prop"\n', "name = 'game_prop': is that of a profile of the package"),
        ("[export]\nweb = true\n", "export: unknown key"),
        ("web = yes\n", "is not valid TOML"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused_with_file_key_value_and_rule(
    tmp_path: Path, text: str, rule: str
) -> None:
    with pytest.raises(ConfigError, match=rule) as refused:
        resolve_profile(profile_file(tmp_path, text))

    assert str(refused.value).startswith("profile '")
    assert "my_props.toml'" in str(refused.value)


@pytest.mark.parametrize("sizes", ["", "texture_px = [512, 512, 512, 512]\n"])
def test_a_shared_atlas_is_ordered_with_the_sizes_of_the_base_or_with_one(tmp_path: Path, sizes: str) -> None:
    assert resolve_profile(profile_file(tmp_path, f'base = "game_prop"\nshared_atlas = true\n{sizes}')).shared_atlas


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"profile '.*absent\.toml': no such file"):
        resolve_profile(str(tmp_path / "absent.toml"))


def test_a_mark_that_editors_put_in_front_is_no_fault_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "marked.toml"
    path.write_text('base = "game_prop"\n', encoding="utf-8-sig")

    assert resolve_profile(str(path)).name == "marked"


def test_a_file_in_another_encoding_is_told_to_be_saved_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "wide.toml"
    path.write_text('base = "game_prop"\n', encoding="utf-16")

    with pytest.raises(ConfigError, match=r"is not UTF-8 \(byte 0\): save it as UTF-8"):
        resolve_profile(str(path))


def test_a_pipe_is_no_file_to_wait_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")

    with pytest.raises(ConfigError, match=r"pipe\.toml': not a file"):
        resolve_profile(str(tmp_path / "pipe.toml"))
