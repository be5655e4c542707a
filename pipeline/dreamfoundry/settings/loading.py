"""Recipes from presets, TOML files and dotted overrides, without silent conversions.

Every key must exist and every value must have the annotated type; a message names the key, the
value, the rule and the nearest key that would work.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from dreamfoundry.errors import ConfigError
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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{what} {str(path)!r}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
        return _build(Recipe, changes, "")
    require(isinstance(base, str) and base in _presets(), "base", base, f"must be one of {', '.join(_presets())}")
    return _changed(bundled_recipe(base), changes, "")


def resolve_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """The preset or TOML file called `name`, with KEY=VALUE settings; a value is TOML, else plain text."""
    recipe = recipe_from_toml(Path(name)) if name.endswith(".toml") or "/" in name else bundled_recipe(name)
    return with_overrides(recipe, dict(map(_setting, settings)))


def _setting(setting: str) -> tuple[str, object]:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting!r}: must be KEY=VALUE, as in optimize.num_steps=600")
    try:
        return key.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), text


def with_overrides(recipe: Recipe, overrides: Mapping[str, object]) -> Recipe:
    """`recipe` with dotted keys replaced: {"optimize.num_steps": 200}."""
    changes: dict[str, Any] = {}
    for dotted, value in overrides.items():
        *parents, leaf = dotted.split(".")
        node = changes
        for name in parents:
            node = node.setdefault(name, {})
            require(isinstance(node, dict), dotted, value, "contradicts another override")
        node[leaf] = value
    return _changed(recipe, changes, "")


def _changed(value: T, changes: Mapping[str, Any], where: str) -> T:
    """A copy of the dataclass `value` with nested `changes`; unknown keys are refused."""
    hints = get_type_hints(type(value))
    replaced: dict[str, Any] = {}
    for name, change in changes.items():
        dotted = f"{where}{name}"
        _require_known(name, hints, dotted)
        current = getattr(value, name)
        if isinstance(change, Mapping) and is_dataclass(current) and not isinstance(current, type):
            replaced[name] = _changed(current, change, f"{dotted}.")
        else:
            replaced[name] = _convert(hints[name], change, dotted)
    return dataclasses.replace(value, **replaced)  # type: ignore[type-var]


def _build(cls: type[T], data: Mapping[str, Any], where: str) -> T:
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, value in data.items():
        _require_known(name, hints, f"{where}{name}")
        values[name] = _convert(hints[name], value, f"{where}{name}")
    missing = [
        f.name
        for f in fields(cls)  # type: ignore[arg-type]
        if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    require(not missing, where.rstrip("."), dict(data), f"misses {', '.join(missing)}")
    return cls(**values)


def _require_known(name: str, hints: Mapping[str, Any], dotted: str) -> None:
    if name not in hints:
        close = get_close_matches(name, hints, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys here: {', '.join(hints)}"
        raise ConfigError(f"{dotted}: unknown recipe key; {hint}")


def _convert(kind: Any, value: Any, dotted: str) -> Any:
    """`value` from TOML or JSON as the annotated type `kind`, without silent conversions."""
    origin = get_origin(kind)
    if kind is Ramp and isinstance(value, (int, float)) and not isinstance(value, bool):
        return constant(_finite(float(value), dotted))
    if is_dataclass(kind):
        require(isinstance(value, Mapping), dotted, value, "must be a table")
        return _build(typing.cast(type[Any], kind), value, f"{dotted}.")
    if origin is Literal:
        require(value in get_args(kind), dotted, value, f"must be one of {', '.join(map(repr, get_args(kind)))}")
        return value
    if origin is tuple:
        require(isinstance(value, (list, tuple)), dotted, value, "must be a list")
        items = get_args(kind)
        if len(items) == 2 and items[1] is Ellipsis:
            return tuple(_convert(items[0], item, dotted) for item in value)
        require(len(value) == len(items), dotted, value, f"must have {len(items)} items")
        return tuple(_convert(item_kind, item, dotted) for item_kind, item in zip(items, value, strict=True))
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(float(value), dotted)
    require(
        isinstance(value, kind) and not (kind is int and isinstance(value, bool)),
        dotted,
        value,
        f"must be of type {kind.__name__}",
    )
    return value


def _finite(value: float, dotted: str) -> float:
    require(math.isfinite(value), dotted, value, "must be a finite number")
    return value
