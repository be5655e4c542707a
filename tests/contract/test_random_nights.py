"""Random nights: whatever rows come, go, break and are mended, the catalog has the last word on each of them."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import RowError
from dreamfoundry.library import catalog
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import publish_projections, rebuild
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome, Prompt
from dreamfoundry.run.outcomes import bad_row_outcome, publish
from dreamfoundry.run.planning.plan import Plan
from dreamfoundry.run.planning.resolution import PlanInputs
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.recipe import Recipe
from support.real_builds import PRIOR

NAMES = ("ant", "bee", "cat", "dog")
TEXTS = ("a toy", "a hat")
TAGS = ((), ("wood",), ("wood", "old, or so"), ("\u6728",))
NUM_NIGHTS = 5

Row = tuple[str, str, tuple[str, ...] | None, int]
"""Prompt id, text or content, tags or None for a bad row, priority."""


class Model:
    """The catalog as it must be."""

    def __init__(self) -> None:
        self.sound: dict[tuple[str, str], tuple[tuple[str, ...], int]] = {}
        self.built: set[str] = set()
        self.bad: dict[str, set[str]] = {}

    def night(self, prompts: list[Prompt], bad: list[RowError], *, builds: bool) -> None:
        for prompt in prompts:
            self.bad.pop(prompt.prompt_id, None)
            if builds or prompt.text in self.built:
                self.sound[prompt.prompt_id, prompt.text] = (prompt.tags, prompt.priority)
        self.built |= {prompt.text for prompt in prompts if builds}
        for name in {error.prompt_id for error in bad}:
            self.bad[str(name)] = {error.content for error in bad if error.prompt_id == name}

    def rows(self) -> list[Row]:
        sound: list[Row] = [(name, text, *said) for (name, text), said in self.sound.items()]
        bad: list[Row] = [(name, content, None, 0) for name, contents in self.bad.items() for content in contents]
        return sorted([*sound, *bad], key=str)


def random_manifest(draw: random.Random) -> tuple[list[Prompt], list[RowError]]:
    """Each name is absent, sound, bad, or both."""
    prompts, bad = [], []
    for name in NAMES:
        if draw.random() < 0.6:
            prompts.append(Prompt(name, draw.choice(TEXTS), tags=draw.choice(TAGS), priority=draw.randint(-1, 1)))
        for content in draw.sample("xyz", draw.choice((0, 0, 0, 1, 1, 2))):
            row = draw.randint(0, 99)
            bad.append(RowError(f"row {row}", row=row, prompt_id=name, prompt="fog", content=content * 64))
    draw.shuffle(prompts)
    return prompts, bad


def run(library: Library, run_id: str, prompts: list[Prompt], bad: list[RowError], *, builds: bool) -> bool:
    """A run without its workers; True if it wrote the projections."""
    keys = [publish(library, bad_row_outcome(error, {"run_id": run_id}), None).asset_key for error in bad]
    plan = Plan(prompts, library, PlanInputs(Recipe(), export_profile("preview"), PRIOR))
    for build in plan.builds() if builds else ():
        prompt = build.prompt
        library.publish(Outcome(build.asset_key, build.field_key, prompt.prompt_id, prompt.text, "published"))
        plan.decide(build.asset_key, "published", "", is_ours=True)

    has_news = not plan.is_projected(keys)
    if has_news:
        publish_projections(library, run_id, plan.rows(), keys)
    return has_news


def shown(library: Library) -> list[Row]:
    """The rows of the catalog, bad ones by their content."""
    rows = pq.read_table(io.BytesIO(library.store.get(catalog.KEY))).to_pylist()
    contents = {outcome.asset_key: outcome.provenance.get("request") for outcome in library.outcomes()}
    found: list[Row] = []
    for row in rows:
        request = contents[row["asset_key"]]
        if row["failure_class"] == "bad_row":
            assert isinstance(request, dict)
            found.append((row["prompt_id"], request["asset"]["content"], None, 0))
        else:
            found.append((row["prompt_id"], row["prompt"], tuple(row["tags"]), row["priority"]))
    return sorted(found, key=str)


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 100))])
def test_44_after_every_night_the_catalog_is_the_last_word_on_every_row(
    tmp_path: Path, seed: int, tried: Callable[[], None]
) -> None:
    draw, library, model = random.Random(seed), Library(DirectoryStore(tmp_path)), Model()
    for night in range(NUM_NIGHTS):
        tried()
        prompts, bad = random_manifest(draw)
        builds = draw.random() < 0.8
        run(library, f"2026010{night}T000000Z-{draw.randrange(2**24):06x}", prompts, bad, builds=builds)
        model.night(prompts, bad, builds=builds)

        assert shown(library) == model.rows(), f"night {night}"
        again = f"2026010{night}T120000Z-aaaaaa"
        has_news = run(library, again, prompts, bad, builds=False)
        assert not (has_news and model.rows()), "the same manifest once more writes nothing but the page of nothing"

    before = library.store.get(catalog.KEY)
    library.store.delete(catalog.KEY)
    rebuild(library)
    assert library.store.get(catalog.KEY) == before
