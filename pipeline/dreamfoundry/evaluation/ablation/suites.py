"""Suites of variants, read from TOML: recipes to compare, and why.

    about = "What the whole suite asks."
    recipe = "toybox"                        # the bundled recipe to start from
    axis = "guidance.guidance_scale"         # the number along the plot; without it, one place per variant
    changes.looks.max_restarts = 0           # what every variant changes
    prompts = ["a red chair"]                # instead of the eight of PROMPTS

    [[variants]]                             # the first one is what the others are compared with
    name = "preset"

    [[variants]]
    name = "no view words"
    why = "One line."
    builds_on = "preset"                     # that variant's recipe, instead of `recipe` and `changes`
    changes.wording.text = "{prompt}, {background} background"

A variant may also name a `recipe` of its own, `prior = "classifier"`, and `slots` (prompts side by
side where that is part of what it stands for).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.loading import bundled_recipe, read_toml, with_overrides
from dreamfoundry.settings.recipe import Recipe
from dreamfoundry.settings.values import require

PROMPTS = (
    "a red chair",
    "a yellow car",
    "a cyan house",
    "a green snowman",
    "a blue mug",
    "a purple table",
    "a pink mushroom",
    "a orange torus",
)
"""Trained pairs; chair, car, house, snowman and mug have a front that can be shown twice."""

PRIORS = ("denoiser", "classifier")
"""Source of guidance: the diffusion model itself, or a classifier instead of it."""

QUICK = "quick"
"""Name of the suite made of the variants on a command line."""

BUNDLED = Path(__file__).parent / "bundled"
"""Folder of the suites of this package."""

_SUITE_KEYS = ("about", "recipe", "axis", "changes", "prompts", "variants")
_VARIANT_KEYS = ("name", "why", "recipe", "builds_on", "changes", "prior", "slots")


@dataclass(frozen=True)
class Variant:
    """One resolved recipe under a name. `changes` is the text of its file; `slots` 0 leaves them to the run."""

    name: str
    recipe: Recipe
    why: str = ""
    changes: str = ""
    prior: str = "denoiser"
    slots: int = 0


@dataclass(frozen=True)
class Suite:
    """Variants that share prompts, seeds and draws; the first one is the reference.

    `changes` is the text of its file on what all variants change.
    """

    name: str
    about: str
    axis: str
    changes: str
    variants: tuple[Variant, ...]
    prompts: tuple[str, ...] = PROMPTS

    def axis_values(self) -> list[float] | None:
        """Each variant's number along the plot; None if the suite has no axis."""
        if not self.axis:
            return None
        values = []
        for variant in self.variants:
            value: Any = variant.recipe
            for key in self.axis.split("."):
                value = getattr(value, key)
            values.append(float(value))
        return values


def bundled_suites() -> dict[str, Path]:
    """The suites of this package by name; the files are package data."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.toml"))}


def read_suite(path: Path) -> Suite:
    """The suite in a TOML file; ConfigError names what is wrong with it."""
    return _suite(path.stem, read_toml(path, "suite"))


def quick_suite(texts: Sequence[str], recipe: str) -> Suite:
    """A suite of variants in the notation of the command line: "name; key = value; key = value"."""
    entries = []
    for text in texts:
        name, _, changes = text.partition(";")
        try:
            entries.append({"name": name.strip(), "changes": tomllib.loads(changes.replace(";", "\n"))})
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"variant {text!r}: {error}; write 'name; key = value; key = value'") from None
    return _suite(QUICK, {"recipe": recipe, "variants": entries})


def _suite(name: str, data: Mapping[str, Any]) -> Suite:
    _require_keys(f"suite {name!r}", data, _SUITE_KEYS)
    tables = data.get("variants", ())
    entries = {str(entry.get("name", "")): entry for entry in tables}
    require(
        0 < len(entries) == len(tables) and "" not in entries,
        f"suite {name!r}: variants",
        list(entries),
        "must be at least one table [[variants]], each with a name of its own",
    )
    variants = tuple(_variant(f"suite {name!r}, variant", data, entries, entry) for entry in entries.values())

    changes = "; ".join(_dotted(data.get("changes", {})))
    prompts = tuple(data.get("prompts", PROMPTS))
    suite = Suite(name, data.get("about", "").strip(), data.get("axis", ""), changes, variants, prompts)
    try:
        suite.axis_values()
    except (AttributeError, TypeError):
        raise ConfigError(f"suite {name!r}: axis = {suite.axis!r}: must be the dotted key of a number") from None
    return suite


def _variant(where: str, data: Mapping[str, Any], entries: Mapping[str, Any], entry: Mapping[str, Any]) -> Variant:
    _require_keys(f"{where} {entry['name']!r}", entry, _VARIANT_KEYS)
    prior = entry.get("prior", PRIORS[0])
    require(prior in PRIORS, f"{where} {entry['name']!r}: prior", prior, f"must be one of {', '.join(PRIORS)}")
    beside = {key: entry[key] for key in ("recipe", "builds_on", "prior", "slots") if key in entry}
    return Variant(
        name=entry["name"],
        recipe=_recipe(where, data, entries, entry["name"], ()),
        why=entry.get("why", ""),
        changes="; ".join((*_dotted(beside), *_dotted(entry.get("changes", {})))),
        prior=prior,
        slots=entry.get("slots", 0),
    )


def _recipe(
    where: str, data: Mapping[str, Any], entries: Mapping[str, Any], name: str, above: tuple[str, ...]
) -> Recipe:
    """The recipe of a variant. `above` are the variants that build on it, for a chain that leads back."""
    require(name in entries, f"{where} {(*above, name)[0]!r}: builds_on", name, f"must be one of {', '.join(entries)}")
    require(name not in above, f"{where} {name!r}: builds_on", above, "must not lead back to the variant itself")
    entry = entries[name]
    if "builds_on" in entry:
        below = _recipe(where, data, entries, entry["builds_on"], (*above, name))
    else:
        bundled = bundled_recipe(entry.get("recipe", data.get("recipe", "toybox")))
        below = _changed(f"{where} {name!r}", bundled, data.get("changes", {}))
    return _changed(f"{where} {name!r}", below, entry.get("changes", {}))


def _changed(where: str, recipe: Recipe, changes: Mapping[str, object]) -> Recipe:
    try:
        return with_overrides(recipe, changes)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _dotted(changes: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Nested tables as lines "dotted.key = value"; a ramp is one value."""
    for key, value in changes.items():
        if not isinstance(value, Mapping):
            yield f"{above}{key} = {json.dumps(value)}"
        elif "start" in value:
            yield f"{above}{key} = {{ {', '.join(f'{name} = {number}' for name, number in value.items())} }}"
        else:
            yield from _dotted(value, f"{above}{key}.")


def _require_keys(where: str, data: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in data:
        require(key in known, where, key, f"must be one of the keys {', '.join(known)}")
