"""Requested, finished and missing fields of a suite. Pure, no torch.

A finished field is one line of JSON under a key of everything that decides its numbers: prompt, seed,
resolved recipe, prior, code. A line whose key is no longer requested is stale and never counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dreamfoundry.evaluation.ablation.suites import Suite, Variant
from dreamfoundry.identity import digest, field_key
from dreamfoundry.records import Prompt
from dreamfoundry.settings.prior_identity import PriorIdentity

JUDGING_VERSION = "2"
"""Declared version of `field_row`; raised when the same field would get other numbers."""


@dataclass(frozen=True)
class FieldRequest:
    """One prompt and seed under one variant; `key` is that of its finished line."""

    prompt: Prompt
    key: str


@dataclass(frozen=True)
class Group:
    """Requests of one variant that a process optimises side by side."""

    variant: Variant
    requests: tuple[FieldRequest, ...]


def requests_of(variant: Variant, texts: Sequence[str], num_seeds: int, prior: PriorIdentity) -> list[FieldRequest]:
    """Every prompt with every seed, in the order in which they are worked on. `prior` is that of the variant."""
    prompts = [
        Prompt(f"{text.replace(' ', '-')}-s{seed}", text, seed=seed) for seed in range(num_seeds) for text in texts
    ]
    fields = [field_key(prompt, variant.recipe, prior) for prompt in prompts]
    keys = [digest({"schema": "ablation.v1", "field": field, "judging": JUDGING_VERSION}) for field in fields]
    return [FieldRequest(prompt, key) for prompt, key in zip(prompts, keys, strict=True)]


def current_rows(lines: Iterable[str], requests: dict[str, list[FieldRequest]]) -> list[dict[str, Any]]:
    """The finished lines of `requests` (by variant), each under the variant that requests it.

    Variants of several suites that come to the same recipe share a line.
    """
    finished = {row["key"]: row for row in map(json.loads, lines)}
    return [
        finished[request.key] | {"variant": name}
        for name, own in requests.items()
        for request in own
        if request.key in finished
    ]


def groups_to_do(
    suite: Suite, requests: dict[str, list[FieldRequest]], rows: Iterable[dict[str, Any]], num_slots: int
) -> list[Group]:
    """Missing fields, each key once, in groups of `num_slots` or the number of slots of the variant.

    Variants take turns on the same prompts: they share the good and the bad hours of the machine,
    and a run that is cut short has measured all of them alike.
    """
    settled = {row["key"] for row in rows}
    groups: list[tuple[int, Group]] = []
    for variant in suite.variants:
        side_by_side = variant.slots or num_slots
        for start in range(0, len(requests[variant.name]), side_by_side):
            group = requests[variant.name][start : start + side_by_side]
            missing = tuple(request for request in group if request.key not in settled)
            settled.update(request.key for request in missing)
            if missing:
                groups.append((start, Group(variant, missing)))

    return [group for _, group in sorted(groups, key=lambda entry: entry[0])]
