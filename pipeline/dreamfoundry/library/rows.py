"""Rows of manifests as a library knows them: what they ask for, and the words and the order that belong to no key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """A sound row of a manifest: the asset that it asks for, and what the catalog shows beside it.

    `tags` and `priority` may change from night to night while the asset stays what it is.
    """

    prompt_id: str
    asset_key: str
    tags: tuple[str, ...] = ()
    priority: int = 0


def tags_text(tags: Sequence[str]) -> str:
    """`tags` as one text, for tables whose cells hold no lists: equal tags give equal texts."""
    return json.dumps(list(tags), ensure_ascii=False)


def tags_from_text(text: str) -> tuple[str, ...]:
    """The tags that `tags_text` wrote."""
    return tuple(json.loads(text))
