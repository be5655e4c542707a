"""The contact sheet: every outcome visible, every text escaped, nothing loaded from elsewhere."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

from dreamfoundry.library import page
from dreamfoundry.records import BlobRef, Outcome

BLOB = BlobRef("a" * 64, 1_200_000, "model/gltf-binary")


def asset(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "asset_key": "a" * 64,
        "field_key": "f" * 64,
        "prompt_id": "row-1",
        "prompt": "a red chair",
        "state": "published",
        "slug": "a_red_chair",
        "files": {name: BLOB for name in ("a_red_chair.glb", "thumbnail.png", "turntable.webp", "asset.json")},
        "scores": {"triangles": 7984.0, "height_m": 1.0},
    }
    return Outcome(**{**values, **changes})


class Parsed(HTMLParser):
    """The texts and the attributes of a page; unbalanced tags fail."""

    VOID = frozenset({"meta", "img", "input"})

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.found_by: list[str] = []
        self.feed(data.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(unquote(value or ""))
            if name == "data-find":
                self.found_by.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_a_published_asset_shows_pictures_facts_and_links() -> None:
    shown = Parsed(page.render([asset()]))

    folder = f"assets/row-1/{'a' * 64}"
    files = ("thumbnail.png", "turntable.webp", "a_red_chair.glb", "asset.json")
    assert shown.links == [f"{folder}/{name}" for name in files]
    assert "a red chair" in shown.texts
    assert any("7,984 triangles · 1 m · 1.2 MB" in text for text in shown.texts)


def test_a_quarantined_prompt_shows_its_class_and_its_reason() -> None:
    shown = Parsed(page.render([asset(state="quarantined", failure_class="empty", message="no view", files={})]))

    assert "empty" in shown.texts
    assert "no view" in shown.texts
    assert shown.links == []


def test_the_head_counts_and_published_assets_come_first() -> None:
    given_up = asset(prompt_id="row-0", prompt="fog", state="quarantined", failure_class="full", files={})
    shown = Parsed(page.render([given_up, asset()]))

    assert "1 published, 1 quarantined" in shown.texts
    assert shown.texts.index("a red chair") < shown.texts.index("fog")


def test_text_from_a_manifest_cannot_become_markup() -> None:
    hostile = '"><script>alert(1)</script>&amp;'
    data = page.render([asset(prompt=hostile, state="quarantined", message=hostile, files={})], title=hostile)

    assert data.count(b"<script>") == 1
    assert Parsed(data).texts.count(hostile) >= 3


def test_the_search_finds_prompt_id_and_class_in_lower_case() -> None:
    (found_by,) = Parsed(page.render([asset(prompt="A Red Chair", failure_class="empty")])).found_by

    assert all(word in found_by for word in ("a red chair", "row-1", "published", "empty"))


def test_nothing_comes_from_elsewhere() -> None:
    assert re.findall(rb"https?://|//[a-z]+\.|@import|url\(", page.render([asset()])) == []


def test_a_library_without_outcomes_has_a_page() -> None:
    assert "0 published, 0 quarantined" in Parsed(page.render([])).texts
