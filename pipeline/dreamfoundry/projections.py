"""Stage 9 as a whole: named views, latest pointers, catalog and page, all made from outcomes and aliases.

A run and `jobs/verify.py --rebuild` end here both, so what is lost comes back byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dreamfoundry import catalog
from dreamfoundry.library import page
from dreamfoundry.records import Outcome
from dreamfoundry.store.outcomes import Library

Pair = tuple[str, str]
"""(prompt id, asset key)."""


def publish_projections(library: Library, run_id: str, rows: Iterable[Pair]) -> dict[str, Outcome]:
    """Bring all projections up to date with the outcomes, which are returned by asset key.

    `rows` are those of a run. Those that stand under another prompt id in
    their outcome are recorded as aliases; views that exist are not written again.
    """
    outcomes = {outcome.asset_key: outcome for outcome in library.outcomes()}
    aliases = library.aliases()
    new = {
        (prompt_id, key)
        for prompt_id, key in rows
        if key in outcomes and outcomes[key].prompt_id != prompt_id and (prompt_id, key) not in aliases
    }
    if new:
        library.record_aliases(run_id, new)
    aliases |= new
    existing = library.views()
    for outcome, prompt_id in shown(outcomes.values(), aliases):
        if (prompt_id, outcome.asset_key) not in existing:
            library.write_view(outcome, prompt_id)
    _write_summaries(library, outcomes.values(), aliases)
    return outcomes


def rebuild(library: Library) -> None:
    """Write every projection again, whatever is there."""
    outcomes, aliases = list(library.outcomes()), library.aliases()
    for outcome, prompt_id in shown(outcomes, aliases):
        library.write_view(outcome, prompt_id)
    _write_summaries(library, outcomes, aliases)


def shown(outcomes: Iterable[Outcome], aliases: Iterable[Pair]) -> Iterator[tuple[Outcome, str]]:
    """Every published outcome with each prompt id that it has a named view for."""
    prompt_ids: dict[str, set[str]] = {}
    for prompt_id, asset_key in aliases:
        prompt_ids.setdefault(asset_key, set()).add(prompt_id)
    for outcome in outcomes:
        if outcome.state == "published":
            for prompt_id in sorted({outcome.prompt_id} | prompt_ids.get(outcome.asset_key, set())):
                yield outcome, prompt_id


def summaries(outcomes: Iterable[Outcome], aliases: Iterable[Pair]) -> dict[str, tuple[bytes, str]]:
    """The files that speak of the whole library: bytes and media type by key."""
    outcomes = list(outcomes)
    return {
        catalog.KEY: (catalog.to_parquet(outcomes, aliases), catalog.MEDIA_TYPE),
        page.KEY: (page.render(outcomes), page.MEDIA_TYPE),
    }


def _write_summaries(library: Library, outcomes: Iterable[Outcome], aliases: Iterable[Pair]) -> None:
    for key, (data, media_type) in summaries(outcomes, aliases).items():
        if not library.store.holds(key, data):
            library.store.put(key, data, media_type)
