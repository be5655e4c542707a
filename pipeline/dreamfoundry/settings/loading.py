"""Recipes from presets, TOML files and dotted overrides, and export profiles, without silent conversions.

Every key must exist and every value must have the annotated type; a message names the key, the
value, the rule and the nearest key that would work.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, cast

from dreamfoundry.errors import ConfigError
from dreamfoundry.serialization import Reader, stored_fields
from dreamfoundry.settings.export_profiles import DEFAULT_PROFILE, EXPORT_PROFILES, ExportProfile, export_profile
from dreamfoundry.settings.recipe import Recipe
from dreamfoundry.settings.values import Ramp, constant, require

T = TypeVar("T")


def recipe_from_toml(path: Path) -> Recipe:
    """Read a recipe. Keys it leaves out have the values of its `base`, a preset of the package, or
    their defaults if it names none; unknown keys are refused."""
    return _from_tables(read_toml(path, "recipe"))


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a file; ConfigError names the `what` that it should have been."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{what} {str(path)!r}: not a file")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors of Windows put a mark in front
    except FileNotFoundError:
        raise ConfigError(f"{what} {str(path)!r}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} {str(path)!r} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{what} {str(path)!r} is not valid TOML: {error}") from None


def bundled_recipe(name: str) -> Recipe:
    """A preset of the package: "toybox", "dreamfusion", "dreamfusion_hash"."""
    presets = _presets()
    require(name in presets, "recipe", name, f"must be a TOML file or one of {', '.join(presets)}")
    return _from_tables(tomllib.loads(presets[name].read_text(encoding="utf-8")))


def _presets() -> dict[str, Traversable]:
    folder = resources.files("dreamfoundry").joinpath("settings", "presets")
    files = {entry.name.removesuffix(".toml"): entry for entry in folder.iterdir() if entry.name.endswith(".toml")}
    return dict(sorted(files.items()))


def _from_tables(tables: Mapping[str, Any]) -> Recipe:
    changes = dict(tables)
    base = changes.pop("base", None)
    if base is None:
        recipe: Recipe = _READER.read(Recipe, changes, "")
        return recipe
    require(isinstance(base, str) and base in _presets(), "base", base, f"must be one of {', '.join(_presets())}")
    return _changed(bundled_recipe(base), changes, "")


def resolve_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """The preset or TOML file called `name`, with KEY=VALUE settings; a value is TOML, else plain text."""
    recipe = recipe_from_toml(Path(name)) if name.endswith(".toml") or "/" in name else bundled_recipe(name)
    return with_overrides(recipe, dict(map(_setting, settings)))


def resolve_profile(name: str) -> ExportProfile:
    """The export profile called `name`, or the one in the TOML file of that name."""
    return profile_from_toml(Path(name)) if name.endswith(".toml") or "/" in name else export_profile(name)


def profile_from_toml(path: Path) -> ExportProfile:
    """Read an export profile. Keys that it leaves out have the values of its `base`, a profile of the package.

    It is called by its `name`, else as the file; a name of the package is refused, because the catalog, the page and
    every file tell a profile by its name.
    """
    changes = {"name": path.stem, **read_toml(path, "profile")}
    base = changes.pop("base", DEFAULT_PROFILE)
    try:
        known = isinstance(base, str) and base in EXPORT_PROFILES
        require(known, "base", base, f"must be one of {', '.join(EXPORT_PROFILES)}")
        profile = _changed(export_profile(base), changes, "")
        require(
            not profile.shared_atlas or "texture_px" not in changes or len(set(profile.texture_px)) == 1,
            "texture_px",
            profile.texture_px,
            "must name one size for all levels where shared_atlas is true: they have the pictures of the finest",
        )
        is_new = profile.name.lower() not in EXPORT_PROFILES
        require(is_new, "name", profile.name, "is that of a profile of the package; must be another, as in 'my_props'")
    except ConfigError as error:
        raise ConfigError(f"profile {str(path)!r}: {error}") from None
    return profile


def _setting(setting: str) -> tuple[str, object]:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting!r}: must be KEY=VALUE, as in optimize.num_steps=600")
    try:
        return key.strip(), tomllib.loads(f"value = {text}")["value"]
    except ValueError:  # no TOML, or a number of thousands of digits
        return key.strip(), text


def with_overrides(recipe: Recipe, overrides: Mapping[str, object]) -> Recipe:
    """`recipe` with dotted keys replaced: {"optimize.num_steps": 200}. None of them may be within another."""
    changes: dict[str, Any] = {}
    for dotted, value in overrides.items():
        *parents, leaf = dotted.split(".")
        outer = [".".join(parents[:length]) for length in range(1, len(parents) + 1)]
        require(not any(key in overrides for key in outer), dotted, value, "contradicts another override")
        node = changes
        for name in parents:
            node = node.setdefault(name, {})
        node[leaf] = value
    return _changed(recipe, changes, "")


def _changed(value: T, changes: Mapping[str, Any], where: str) -> T:
    """A copy of the dataclass `value` with nested `changes` by stored name; unknown keys are refused.

    Only what changes is read: rows of a manifest bring their overrides by the hundred thousand.
    """
    known = stored_fields(cast(type, type(value)))
    replaced: dict[str, Any] = {}
    for name, change in changes.items():
        dotted = f"{where}.{name}".lstrip(".")
        _require_known(name, known, dotted)
        field = known[name]
        current = getattr(value, field.name)
        is_table = is_dataclass(current) and isinstance(change, Mapping)
        replaced[field.name] = (
            _changed(current, change, dotted) if is_table else _READER.read(field.kind, change, dotted)
        )
    return replace(value, **replaced)  # type: ignore[type-var]


def _read_table(reader: Reader, cls: type, value: Any, where: str) -> Any:
    """The dataclass of a table in a recipe; keys that it leaves out have their defaults."""
    if cls is Ramp and isinstance(value, (int, float)) and not isinstance(value, bool):
        return constant(reader.read(float, value, where))
    require(isinstance(value, Mapping), where, value, "must be a table")

    known = stored_fields(cls)
    values: dict[str, Any] = {}
    for name, item in value.items():
        dotted = f"{where}.{name}".lstrip(".")
        _require_known(name, known, dotted)
        values[known[name].name] = reader.read(known[name].kind, item, dotted)

    missing = [name for name, field in known.items() if field.is_required and name not in value]
    require(not missing, where, dict(value), f"misses {', '.join(missing)}")
    return cls(**values)


_READER = Reader(_read_table, ConfigError)


def _require_known(name: str, known: Mapping[str, object], dotted: str) -> None:
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys here: {', '.join(known)}"
        raise ConfigError(f"{dotted}: unknown key; {hint}")
