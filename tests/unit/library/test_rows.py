"""Rows of manifests: tags as one text, and back."""

from __future__ import annotations

import pytest

from dreamfoundry.library.rows import tags_from_text, tags_text


@pytest.mark.parametrize("tags", [(), ("wood",), ("wood, old", "a|b", '"'), ("木", "élan", "🪑"), ("b", "a", "b")])
def test_tags_come_back_from_their_text_as_they_were(tags: tuple[str, ...]) -> None:
    assert tags_from_text(tags_text(tags)) == tags
