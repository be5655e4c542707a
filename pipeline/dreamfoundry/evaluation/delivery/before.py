"""Workmanship before and now, in one table for each profile: figures of an earlier check beside those of this one.

The earlier figures are a file of `dreamfoundry dev check --json`, or the part of one that `kept` keeps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreamfoundry.errors import ConfigError
from dreamfoundry.evaluation.delivery.measures import NOTHING, WORKMANSHIP, Measure


def kept(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the figures of a check that a later comparison needs."""
    return {
        "made_by": figures["environment"]["made by"],
        "clashing_names": len(figures["clashing_names"]),
        "profiles": {name: {"workmanship": one["workmanship"]} for name, one in figures["profiles"].items()},
    }


def read_before(path: Path) -> dict[str, Any]:
    """The earlier figures in `path`; ConfigError where there are none."""
    try:
        figures = json.loads(path.read_bytes())
        return figures if "made_by" in figures else kept(figures)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--before {path}: {error!r}: must be a file that `dreamfoundry dev check --json` wrote"
        ) from None


def comparison(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[list[str]]:
    """Rows of the table of one profile, its heads first; `now` and `before` are its "workmanship"."""
    heads = ["figure", "limit", *(["before", "beyond it"] if before is not None else []), "now", "beyond it"]
    rows = [heads]
    for name, measure in WORKMANSHIP.items():
        limit = NOTHING if measure.limit is None else measure.format(measure.limit)
        earlier = _cells(measure, before.get(name)) if before is not None else []
        rows.append([measure.title, limit, *earlier, *_cells(measure, now.get(name))])
    return rows


def _cells(measure: Measure, judged: Mapping[str, Any] | None) -> list[str]:
    if judged is None:
        return [NOTHING, NOTHING]
    beyond = f"{judged['beyond']} of {judged['assets']}" if measure.limit is not None else NOTHING
    return [measure.format_spread(judged), beyond]
