"""The contact sheet: outcomes visible, every text escaped, nothing loaded from elsewhere."""

import io
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pytest

from dreamfoundry.library import contact_sheet
from dreamfoundry.library.entries import Entry
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


def html(
    latest: Sequence[Outcome | Entry], num_published: int = 1, num_quarantined: int = 0, title: str = "Toys"
) -> bytes:
    file = io.BytesIO()
    contact_sheet.write(
        [shown if isinstance(shown, Entry) else Entry(shown.prompt_id, shown) for shown in latest],
        file,
        num_published=num_published,
        num_quarantined=num_quarantined,
        catalog_key="catalog/catalog.parquet",
        catalog_digest="ab" * 32,
        title=title,
    )
    return file.getvalue()


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
    shown = Parsed(html([asset()]))

    folder = f"assets/row-1/{'a' * 64}"
    files = ("thumbnail.png", "turntable.webp", "a_red_chair.glb", "asset.json")
    assert shown.links == [f"{folder}/{name}" for name in files]
    assert "a red chair" in shown.texts
    assert any("7,984 triangles · 1 m · 1.2 MB" in text for text in shown.texts)


def test_the_card_tells_the_profile_and_links_every_level_and_what_was_ordered_beside_it() -> None:
    ends = ("_LOD10.glb", "_LOD1.glb", ".glb", "_godot.glb", "_collision.glb", ".usdz")
    files = dict.fromkeys((*(f"a_red_chair{end}" for end in ends), "asset.json"), BLOB)

    shown = Parsed(html([asset(files=files, provenance={"budget_profile": "game_hero"})]))

    labels = [text for text in shown.texts if text in ("GLB", "LOD1", "LOD10", "hulls", "Godot", "USDZ", "metadata")]
    assert labels == ["GLB", "LOD1", "LOD10", "hulls", "Godot", "USDZ", "metadata"]
    order = (".glb", "_LOD1.glb", "_LOD10.glb", "_collision.glb", "_godot.glb", ".usdz")
    assert [link.rsplit("/", 1)[1] for link in shown.links] == [*(f"a_red_chair{end}" for end in order), "asset.json"]
    assert any("game_hero" in text for text in shown.texts)


def test_the_small_picture_is_shown_where_there_is_one() -> None:
    files = dict.fromkeys(("a_red_chair.glb", "thumb_512.webp", "thumbnail.png"), BLOB)

    assert Parsed(html([asset(files=files)])).links[0].endswith("/thumb_512.webp")


def test_a_quarantined_prompt_shows_its_class_and_its_reason() -> None:
    shown = Parsed(html([asset(state="quarantined", failure_class="empty", message="no view", files={})]))

    assert "empty" in shown.texts
    assert "no view" in shown.texts
    assert shown.links == []


def test_the_head_counts_and_the_cards_keep_their_order() -> None:
    given_up = asset(prompt_id="row-0", prompt="fog", state="quarantined", failure_class="full", files={})
    shown = Parsed(html([asset(), given_up], num_published=1, num_quarantined=1))

    assert "1 published, 1 quarantined" in shown.texts
    assert shown.texts.index("a red chair") < shown.texts.index("fog")


def test_a_page_that_does_not_show_all_says_so_and_leads_to_the_catalog() -> None:
    most = contact_sheet.MAX_CARDS - 1
    whole, part = (Parsed(html([], num_published=most, num_quarantined=number)) for number in (1, 2))

    assert f"{most} published, 1 quarantined" in whole.texts
    assert whole.links == []
    assert any(text.startswith(f"{most} published, 2 quarantined; here are the 5000 latest") for text in part.texts)
    assert part.links == ["catalog/catalog.parquet"]


def test_text_from_a_manifest_cannot_become_markup() -> None:
    hostile = '"><script>alert(1)</script>&amp;'
    data = html([asset(prompt=hostile, state="quarantined", message=hostile, files={})], title=hostile)

    assert data.count(b"<script>") == 1
    assert Parsed(data).texts.count(hostile) >= 3


def test_the_search_finds_prompt_id_and_class_in_lower_case() -> None:
    (found_by,) = Parsed(html([asset(prompt="A Red Chair", failure_class="empty")])).found_by

    assert all(word in found_by for word in ("a red chair", "row-1", "published", "empty"))


def test_nothing_comes_from_elsewhere() -> None:
    assert re.findall(rb"https?://|//[a-z]+\.|@import|url\(", html([asset()])) == []


def test_a_library_without_outcomes_has_a_page() -> None:
    assert "0 published, 0 quarantined" in Parsed(html([], num_published=0)).texts


def test_a_page_names_the_catalog_it_was_made_with_at_its_beginning() -> None:
    head = html([])[: contact_sheet.HEAD_BYTES]

    assert contact_sheet.names_catalog(head, "ab" * 32)
    assert not contact_sheet.names_catalog(head, "cd" * 32)


def test_tags_are_shown_one_by_one_and_found_by_the_search() -> None:
    tags = ("Forest", "wood, old", "<b>")
    for outcome in (asset(), asset(state="quarantined", failure_class="empty", files={})):
        shown = Parsed(html([Entry("row-1", outcome, tags)]))

        assert [text for text in shown.texts if text in tags] == list(tags)
        assert all(word in shown.found_by[0] for word in ("forest", "wood, old", "<b>"))


@pytest.mark.parametrize(
    ("also", "shown"),
    [
        ((), []),
        (("stool",), ["also stool"]),
        (tuple("abcdefg"), ["also a, b, c, d, e and 2 more"]),
    ],
)
def test_a_card_names_the_other_prompt_ids_of_its_asset(also: tuple[str, ...], shown: list[str]) -> None:
    page = Parsed(html([Entry("row-1", asset(), also=also)]))

    assert [text for text in page.texts if text.startswith("also ")] == shown
    assert all(prompt_id in page.found_by[0].split() for prompt_id in also)


@pytest.mark.parametrize(
    ("provenance", "facts"),
    [
        ({"budget_profile": "mobile", "request": {"field": {"seed": 7}}}, "row-1 · mobile · seed 7 · 7,984 triangles"),
        ({"budget_profile": "mobile", "request": {"field": {"seed": 0}}}, "row-1 · mobile · 7,984 triangles"),
        ({"budget_profile": "mobile"}, "row-1 · mobile · 7,984 triangles"),
        ({"request": "of another make"}, "row-1 · 7,984 triangles"),
        ({}, "row-1 · 7,984 triangles"),
    ],
)
def test_assets_of_one_prompt_are_told_apart_by_profile_and_seed(provenance: dict[str, Any], facts: str) -> None:
    assert any(text.startswith(facts) for text in Parsed(html([asset(provenance=provenance)])).texts)


def test_a_row_that_was_no_prompt_shows_its_text_as_far_as_it_is_known() -> None:
    bad = {"state": "quarantined", "failure_class": "bad_row", "message": "seed = -1: must be 0 or more", "files": {}}

    assert "a red chair" in Parsed(html([asset(**bad)])).texts
    assert "row-1" in Parsed(html([asset(**bad, prompt="")])).texts
