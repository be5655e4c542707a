"""Entries come back sorted, each outcome under each of its prompt ids, whatever order they went in."""

from dataclasses import replace
from typing import Any

from dreamfoundry.library.entries import Entries
from dreamfoundry.library.rows import Row
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
    return [(entry.prompt_id, int(entry.outcome.asset_key, 16)) for entry in entries]


def test_every_outcome_comes_back_as_it_was_by_prompt_id_and_key() -> None:
    prompt_ids = ("b", "a", "a/", "é", "a-", "Z", "a", "\U0001f600", "\uffee")
    given = [outcome(number, prompt_id) for number, prompt_id in enumerate(prompt_ids)]
    twin = sorted((found.prompt_id, found.asset_key, found) for found in given)

    for order in (given, given[::-1]):
        with Entries(order, []) as entries:
            assert [(found.prompt_id, found.outcome.asset_key, found.outcome) for found in entries] == twin


def test_an_alias_is_an_entry_of_its_own_if_its_asset_has_an_outcome() -> None:
    aliases = [("row-7", f"{1:064x}"), ("row-1", f"{1:064x}"), ("row-9", "e" * 64), ("row-7", f"{1:064x}")]

    with Entries([outcome(2), outcome(1)], aliases) as entries:
        assert pairs(entries) == [("row-1", 1), ("row-2", 2), ("row-7", 1)]


def test_of_the_rows_that_are_added_only_new_prompt_ids_of_outcomes_are_named() -> None:
    rows = [Row(prompt_id, f"{1:064x}") for prompt_id in ("row-1", "known", "new", "new")] + [Row("lost", "e" * 64)]

    with Entries([outcome(1)], [("known", f"{1:064x}")]) as entries:
        entries.add(rows)
        assert list(entries.new_pairs()) == [("new", f"{1:064x}")]
        assert pairs(entries) == [("known", 1), ("new", 1), ("row-1", 1)]


def test_published_entries_are_told_from_quarantined_ones() -> None:
    with Entries([outcome(1), outcome(2, state="quarantined")], [("alias", f"{1:064x}")]) as entries:
        assert [entry.prompt_id for entry in entries.published()] == ["alias", "row-1"]
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
        found = {limit: [shown.outcome.prompt_id for shown in entries.latest(limit)] for limit in (2, 4, 9)}

    assert found == {2: ["a", "b"], 4: ["a", "b", "old", "d"], 9: ["a", "b", "old", "c", "d"]}


def test_tags_and_priority_are_those_that_were_recorded_last_and_none_else() -> None:
    key = f"{1:064x}"
    recorded = [Row("row-1", key, ("old",), 1), Row("row-1", key, ("new", "é, è"), 2), Row("lost", "e" * 64, ("x",))]

    with Entries([outcome(1), outcome(2)], [("alias", key)], recorded) as entries:
        assert [(entry.prompt_id, entry.tags, entry.priority) for entry in entries] == [
            ("alias", (), 0),
            ("row-1", ("new", "é, è"), 2),
            ("row-2", (), 0),
        ]


def test_rows_that_a_run_has_seen_change_their_entries_and_only_those_are_named() -> None:
    key = f"{1:064x}"
    recorded = [Row("row-1", key, ("wood",), 1)]
    rows = [
        Row("row-1", key, (), 1),
        Row("new", key, ("wood",)),
        Row("row-2", f"{2:064x}"),
        Row("lost", "e" * 64, ("x",)),
    ]

    with Entries([outcome(1), outcome(2)], [], recorded) as entries:
        entries.add(rows)
        assert list(entries.take_changes()) == [Row("new", key, ("wood",)), Row("row-1", key, (), 1)]
        assert {entry.prompt_id: entry.tags for entry in entries} == {"new": ("wood",), "row-1": (), "row-2": ()}

    with Entries([outcome(1)], [], recorded) as entries:
        entries.add(recorded)
        assert list(entries.take_changes()) == []


def test_the_current_one_of_a_prompt_id_is_the_published_one_that_was_decided_last() -> None:
    given = [
        outcome(1, "chair", created_at="2025-01-02T00:00:00Z"),
        outcome(2, "chair", created_at="2025-01-01T00:00:00Z"),
        outcome(3, "chair", "quarantined", "2025-01-09T00:00:00Z"),
        outcome(4, "fog", "quarantined", "2025-01-01T00:00:00Z"),
        outcome(5, "twin", created_at="2025-01-01T00:00:00Z"),
        outcome(6, "twin", created_at="2025-01-01T00:00:00Z"),
        outcome(7, "undated"),
    ]

    with Entries(given, [("stool", f"{2:064x}")]) as entries:
        current = [(entry.prompt_id, int(entry.outcome.asset_key, 16)) for entry in entries if entry.is_current]

    assert current == [("chair", 1), ("stool", 2), ("twin", 6), ("undated", 7)]


def test_the_card_of_an_outcome_has_all_its_prompt_ids_and_their_tags() -> None:
    key = f"{1:064x}"
    recorded = [Row("row-1", key, ("wood", "old")), Row("alias", key, ("stool", "wood"))]

    with Entries([outcome(1)], [("alias", key)], recorded) as entries:
        (card,) = entries.latest(9)

    assert (card.prompt_id, card.also, card.tags) == ("row-1", ("alias",), ("wood", "old", "stool"))


def bad_row(number: int, prompt_id: str) -> Outcome:
    return replace(outcome(number, prompt_id, "quarantined"), failure_class="bad_row", field_key="", files={})


def test_a_bad_row_gives_way_to_a_row_of_its_id_and_to_another_bad_row_of_its_id() -> None:
    given = [bad_row(number, prompt_id) for number, prompt_id in enumerate(("mended", "changed", "changed", "gone"))]

    with Entries([*given, outcome(9, "mended", "quarantined")], []) as entries:
        entries.add([Row("mended", "e" * 64)], [f"{2:064x}"])
        assert entries.superseded_bad_rows() == {f"{0:064x}", f"{1:064x}"}

        entries.drop(entries.superseded_bad_rows() | {f"{9:064x}", "e" * 64})
        assert pairs(entries) == [("changed", 2), ("gone", 3), ("mended", 9)], "an asset is never left out"
        assert entries.count("quarantined") == 3


def test_a_bad_row_stays_beside_a_sound_one_of_its_id_in_the_same_manifest() -> None:
    with Entries([bad_row(1, "chair"), outcome(2, "chair")], []) as entries:
        entries.add([Row("chair", f"{2:064x}")], [f"{1:064x}"])
        assert entries.superseded_bad_rows() == frozenset()
