"""Assets are chosen by prompt id, tag and profile; a filter that cannot be meant is refused with what there is."""

from pathlib import Path

import pytest

from dreamfoundry.errors import ConfigError
from dreamfoundry.kits.choice import Filters, choose
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import entries_of
from dreamfoundry.library.rows import record_aliases
from support.collected import library_in, publish, quarantine


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = library_in(tmp_path)
    publish(library, "mug", number=1, tags=["kitchen", "red"])
    publish(library, "mug_hero", number=2, prompt_id="mug", profile="game_hero", tags=["kitchen"])
    publish(library, "chair", number=3, tags=["red"])
    publish(library, "table", number=4)
    quarantine(library, "ghost", number=5)
    return library


def names(library: Library, **filters: list[str]) -> list[str]:
    with entries_of(library, library.outcomes()) as entries:
        chosen, _ = choose(entries, Filters(**{kind: frozenset(values) for kind, values in filters.items()}))
    return [one.outcome.slug for one in chosen]


def test_without_filters_everything_published_is_chosen(library: Library) -> None:
    with entries_of(library, library.outcomes()) as entries:
        chosen, num_published = choose(entries, Filters())

    assert [one.outcome.slug for one in chosen] == ["chair", "mug", "mug_hero", "table"]
    assert num_published == 4


def test_values_of_one_kind_add_up_and_kinds_must_all_hold(library: Library) -> None:
    assert names(library, tags=["red", "kitchen"]) == ["chair", "mug", "mug_hero"]
    assert names(library, tags=["kitchen"], profiles=["game_prop"]) == ["mug"]
    assert names(library, prompt_ids=["mug", "table"], profiles=["game_prop"]) == ["mug", "table"]


def test_of_several_exports_in_one_profile_the_newest_counts(library: Library) -> None:
    publish(library, "mug_again", number=9, prompt_id="mug", created_at="2026-02-01T00:00:00Z")

    assert names(library, prompt_ids=["mug"]) == ["mug_again", "mug_hero"]


def test_two_prompt_ids_of_one_asset_are_one_choice_with_both(library: Library) -> None:
    record_aliases(library, "later", [("cup", f"{1:064x}")])
    with entries_of(library, library.outcomes()) as entries:
        chosen, _ = choose(entries, Filters(profiles=frozenset(["game_prop"])))

    assert [one.prompt_ids for one in chosen if one.outcome.slug == "mug"] == [("cup", "mug")]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"prompt_ids": ["mugg"]}, "--prompt-id mugg: no published asset has it; the nearest are mug, and 2 others"),
        ({"prompt_ids": ["tab"]}, "--prompt-id tab: no published asset has it; the nearest are table, and 2 others"),
        ({"prompt_ids": ["ghost"]}, "--prompt-id ghost: nothing was published of it: empty: no view shows anything"),
        ({"tags": ["blue"]}, "--tag blue: no published asset has it; there are kitchen, red"),
        ({"profiles": ["cg"]}, "--profile cg: no published asset has it; there are game_hero, game_prop"),
        ({"tags": ["red"], "profiles": ["game_hero"]}, "--tag red --profile game_hero: no published asset has all"),
    ],
)
def test_a_filter_that_nothing_passes_is_refused_with_what_would_work(
    library: Library, filters: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        names(library, **filters)

    assert str(refusal.value).startswith(message)


def test_an_empty_library_has_nothing_to_choose(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no published asset"):
        names(library_in(tmp_path / "empty"))
