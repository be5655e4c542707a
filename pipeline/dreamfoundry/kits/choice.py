"""The assets of a library that are collected: published ones, the newest of each prompt id and profile."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dreamfoundry.errors import ConfigError
from dreamfoundry.library.entries import Entries, Entry
from dreamfoundry.library.library import decided_order
from dreamfoundry.records import Outcome

MAX_NAMES = 8
"""Names in a message that says what there is."""


@dataclass(frozen=True)
class Filters:
    """Values that an asset must have: one of each kind that is given."""

    prompt_ids: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Chosen:
    """A published asset, with the chosen prompt ids that it answers and their tags."""

    outcome: Outcome
    prompt_ids: tuple[str, ...]
    tags: tuple[str, ...]


def choose(entries: Entries, filters: Filters) -> tuple[list[Chosen], int]:
    """The assets that pass `filters`, by name, and the number of assets to choose from.

    ConfigError where there is none, or where a value is not that of any asset.
    """
    newest = _newest(entries.published())
    _require_known(newest, entries, filters)

    chosen: dict[str, Chosen] = {}
    for entry in newest:
        if _passes(entry, filters):
            key = entry.outcome.asset_key
            known = chosen.get(key, Chosen(entry.outcome, (), ()))
            chosen[key] = replace(
                known,
                prompt_ids=(*known.prompt_ids, entry.prompt_id),
                tags=tuple(dict.fromkeys((*known.tags, *entry.tags))),
            )

    if not chosen:
        raise ConfigError(f"{_flags(filters)}: no published asset has all of it; leave one of them out")
    in_order = sorted(chosen.values(), key=lambda one: (one.outcome.slug, one.outcome.asset_key))
    return in_order, len({entry.outcome.asset_key for entry in newest})


def profile_of(outcome: Outcome) -> str:
    """Name of the export profile of an outcome, "" where it has none."""
    return str(outcome.provenance.get("budget_profile", ""))


def _newest(published: Iterable[Entry]) -> list[Entry]:
    latest: dict[tuple[str, str], Entry] = {}
    for entry in published:
        place = (entry.prompt_id, profile_of(entry.outcome))
        if place not in latest or decided_order(entry.outcome) > decided_order(latest[place].outcome):
            latest[place] = entry
    return [latest[place] for place in sorted(latest)]


def _passes(entry: Entry, filters: Filters) -> bool:
    return (
        (not filters.prompt_ids or entry.prompt_id in filters.prompt_ids)
        and (not filters.tags or not filters.tags.isdisjoint(entry.tags))
        and (not filters.profiles or profile_of(entry.outcome) in filters.profiles)
    )


def _require_known(newest: Iterable[Entry], entries: Iterable[Entry], filters: Filters) -> None:
    """Refuse a value that no published asset has, with those that there are."""
    there: dict[str, set[str]] = {"prompt_ids": set(), "tags": set(), "profiles": set()}
    for entry in newest:
        there["prompt_ids"].add(entry.prompt_id)
        there["tags"].update(entry.tags)
        there["profiles"].add(profile_of(entry.outcome))
    if not there["prompt_ids"]:
        raise ConfigError("the library has no published asset; `dreamfoundry status` says how it stands")

    for kind, flag in _FLAGS.items():
        for value in sorted(getattr(filters, kind) - there[kind]):
            refusal = _quarantined(entries, value) if kind == "prompt_ids" else ""
            raise ConfigError(
                f"{flag} {value}: {refusal or f'no published asset has it; {_known(value, there[kind])}'}"
            )


def _quarantined(entries: Iterable[Entry], prompt_id: str) -> str:
    """The fate of a prompt id that has no published asset, "" where it is not known at all."""
    for entry in entries:
        if entry.prompt_id == prompt_id:
            outcome = entry.outcome
            return f"nothing was published of it: {outcome.failure_class}: {outcome.message}"
    return ""


def _known(value: str, values: set[str]) -> str:
    if not values:
        return "there is none at all"
    near = [one for one in sorted(values) if value in one][:MAX_NAMES]
    near = near or difflib.get_close_matches(value, sorted(values), MAX_NAMES, 0.5)
    shown = near or sorted(values)[:MAX_NAMES]
    left = len(values) - len(shown)
    return f"{'the nearest are' if near else 'there are'} {', '.join(shown)}" + (f", and {left} others" if left else "")


def _flags(filters: Filters) -> str:
    return " ".join(f"{flag} {value}" for kind, flag in _FLAGS.items() for value in sorted(getattr(filters, kind)))


_FLAGS: Mapping[str, str] = {"prompt_ids": "--prompt-id", "tags": "--tag", "profiles": "--profile"}
