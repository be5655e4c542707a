"""Requested, finished and missing fields of a suite. Pure, no torch.

A finished field is one line of JSON under a key of all that decides its numbers: prompt, seed,
resolved recipe, prior, code. A line whose key nobody asks for any more is stale and never counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dreamfoundry.evaluation.ablation.suites import Suite, Variant
from dreamfoundry.identity import digest, field_key
from dreamfoundry.records import PriorIdentity, Prompt

JUDGING_VERSION = "2"
"""Declared version of `judging`; raised when the same field would get other numbers."""


@dataclass(frozen=True)
class Ask:
    """One prompt and seed under one variant; `key` names the finished line that answers it."""

    prompt: Prompt
    key: str


@dataclass(frozen=True)
class Group:
    """Asks of one variant that a process works on side by side."""

    variant: Variant
    asks: tuple[Ask, ...]


def asks_of(variant: Variant, texts: Sequence[str], num_seeds: int, prior: PriorIdentity) -> list[Ask]:
    """Every prompt with every seed, in the order in which they are worked on. `prior` is the one that is asked."""
    prompts = [
        Prompt(f"{text.replace(' ', '-')}-s{seed}", text, seed=seed) for seed in range(num_seeds) for text in texts
    ]
    fields = [field_key(prompt, variant.recipe, prior) for prompt in prompts]
    keys = [digest({"schema": "ablation.v1", "field": field, "judging": JUDGING_VERSION}) for field in fields]
    return [Ask(prompt, key) for prompt, key in zip(prompts, keys, strict=True)]


def current_rows(lines: Iterable[str], asks: dict[str, list[Ask]]) -> list[dict[str, Any]]:
    """The finished lines that answer one of `asks` (by variant), each under the variant that asks.

    Variants of several suites that come to the same recipe share a line.
    """
    found = {row["key"]: row for row in map(json.loads, lines)}
    return [found[ask.key] | {"variant": name} for name, own in asks.items() for ask in own if ask.key in found]


def groups_to_do(
    suite: Suite, asks: dict[str, list[Ask]], rows: Iterable[dict[str, Any]], num_slots: int
) -> list[Group]:
    """Missing fields, each key once, in groups of `num_slots` or the number of slots of the variant.

    Variants take turns on the same prompts: they share the good and the bad hours of the machine,
    and a run that is cut short has asked all of them alike.
    """
    settled = {row["key"] for row in rows}
    groups: list[tuple[int, Group]] = []
    for variant in suite.variants:
        side_by_side = variant.slots or num_slots
        for start in range(0, len(asks[variant.name]), side_by_side):
            group = asks[variant.name][start : start + side_by_side]
            missing = tuple(ask for ask in group if ask.key not in settled)
            settled.update(ask.key for ask in missing)
            if missing:
                groups.append((start, Group(variant, missing)))
    return [group for _, group in sorted(groups, key=lambda entry: entry[0])]
