"""Entries come back sorted, each outcome under each of its prompt ids, whatever order they went in."""

from typing import Any

from dreamfoundry.library.entries import Entries
from dreamfoundry.records import BlobRef, Outcome


def outcome(number: int, prompt_id: str = "", state: str = "published", created_at: str = "") -> Outcome:
    values: dict[str, Any] = {
        "asset_key": f"{number:064x}",
        "field_key": "f" * 64,
        "prompt_id": prompt_id or f"row-{number}",
        "prompt": "a réd chair",
        "state": state,
        "files": {"a.glb": BlobRef("a" * 64, 1, "model/gltf-binary")},
        "scores": {"height_m": 1.5},
        "provenance": {"created_at": created_at, "candidates": [{"candidate": 0}]},
    }
    return Outcome(**values)


def pairs(entries: Entries) -> list[tuple[str, int]]:
    return [(prompt_id, int(found.asset_key, 16)) for prompt_id, found in entries]


def test_every_outcome_comes_back_as_it_was_by_prompt_id_and_key() -> None:
    prompt_ids = ("b", "a", "a/", "é", "a-", "Z", "a", "\U0001f600", "\uffee")
    given = [outcome(number, prompt_id) for number, prompt_id in enumerate(prompt_ids)]
    twin = sorted((found.prompt_id, found.asset_key, found) for found in given)

    for order in (given, given[::-1]):
        with Entries(order, []) as entries:
            assert [(prompt_id, found.asset_key, found) for prompt_id, found in entries] == twin


def test_an_alias_is_an_entry_of_its_own_if_its_asset_has_an_outcome() -> None:
    aliases = [("row-7", f"{1:064x}"), ("row-1", f"{1:064x}"), ("row-9", "e" * 64), ("row-7", f"{1:064x}")]

    with Entries([outcome(2), outcome(1)], aliases) as entries:
        assert pairs(entries) == [("row-1", 1), ("row-2", 2), ("row-7", 1)]


def test_of_the_rows_that_are_added_only_new_prompt_ids_of_outcomes_are_named() -> None:
    rows = [(prompt_id, f"{1:064x}") for prompt_id in ("row-1", "known", "new", "new")] + [("lost", "e" * 64)]

    with Entries([outcome(1)], [("known", f"{1:064x}")]) as entries:
        assert list(entries.add(rows)) == [("new", f"{1:064x}")]
        assert pairs(entries) == [("known", 1), ("new", 1), ("row-1", 1)]


def test_published_entries_are_told_from_quarantined_ones() -> None:
    with Entries([outcome(1), outcome(2, state="quarantined")], [("alias", f"{1:064x}")]) as entries:
        assert [prompt_id for prompt_id, _ in entries.published()] == ["alias", "row-1"]
        assert entries.has_published("alias", f"{1:064x}")
        assert not entries.has_published("row-2", f"{2:064x}")
        assert not entries.has_published("row-2", f"{1:064x}")
        assert (entries.count("published"), entries.count("quarantined")) == (1, 1)


def test_the_latest_are_the_published_that_were_decided_last_then_quarantined_ones() -> None:
    given = [
        outcome(1, "old", created_at="2025-01-01"),
        outcome(2, "b", created_at="2025-01-03"),
        outcome(3, "a", created_at="2025-01-02"),
        outcome(4, "d", "quarantined", "2025-01-09"),
        outcome(5, "c", "quarantined", "2025-01-08"),
    ]

    with Entries(given, [("alias", f"{1:064x}")]) as entries:
        found = {limit: [shown.prompt_id for shown in entries.latest(limit)] for limit in (2, 4, 9)}

    assert found == {2: ["a", "b"], 4: ["a", "b", "old", "d"], 9: ["a", "b", "old", "c", "d"]}
