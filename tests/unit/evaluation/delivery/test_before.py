"""Figures of an earlier version beside those of now."""

import json
from pathlib import Path

import pytest

from dreamfoundry.errors import ConfigError
from dreamfoundry.evaluation.delivery.before import comparison, kept, read_before
from dreamfoundry.evaluation.delivery.measures import WORKMANSHIP
from dreamfoundry.evaluation.delivery.summary import summary

FIGURES = {
    "environment": {"made by": "dreamfoundry, export version 4", "with": "much more"},
    "clashing_names": ["M_a", "M_b"],
    "profiles": {"tiny": {"workmanship": {"charts_LOD0": {"median": 549}}, "scores": {}}},
    "assets": {},
}


def row(charts: float, **figures: float) -> dict[str, object]:
    empty: dict[str, object] = {
        "triangles": [],
        "timings_s": {"unwrap": 1.0},
        "scores": {},
        "gates": {},
        "findings": [],
    }
    khronos = {"messages": [], "files": 0}

    return {
        **empty,
        "kind": "",
        "khronos": khronos,
        "usd_errors": None,
        "watertight": True,
        "num_components": 1,
        "num_glbs": 0,
        "bytes": 1.0,
        "export_s": None,
        "export_cpu_s": None,
        "workmanship": {"charts_LOD0": charts, **figures},
    }


def test_assets_beyond_a_limit_are_counted_on_its_worse_side() -> None:
    figures = summary([row(100), row(101, f_score_2_percent=0.5), row(7)])["workmanship"]

    assert figures["charts_LOD0"] == {"median": 100, "lowest": 7, "highest": 101, "assets": 3, "beyond": 1}
    assert figures["f_score_2_percent"]["assets"] == 1
    assert figures["seam_jump_LOD0"] is None


def test_the_table_has_before_and_now_side_by_side() -> None:
    then, now = (summary([row(charts)])["workmanship"] for charts in (549, 23))

    heads, first, *others = comparison(now, then)

    assert heads == ["figure", "limit", "before", "beyond it", "now", "beyond it"]
    assert first == ["UV charts, LOD0", "100", "549 (549)", "1 of 1", "23 (23)", "0 of 1"]
    assert len(others) == len(WORKMANSHIP) - 1
    assert others[0][2:] == ["–", "–", "–", "–"]


def test_without_earlier_figures_there_are_only_those_of_now() -> None:
    assert comparison(summary([row(23)])["workmanship"], None)[:2] == [
        ["figure", "limit", "now", "beyond it"],
        ["UV charts, LOD0", "100", "23 (23)", "0 of 1"],
    ]


def test_earlier_figures_are_read_whole_or_as_they_were_kept(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.json", tmp_path / "part.json"
    whole.write_text(json.dumps(FIGURES))
    part.write_text(json.dumps(kept(FIGURES)))

    assert (
        read_before(whole)
        == read_before(part)
        == {
            "made_by": "dreamfoundry, export version 4",
            "clashing_names": 2,
            "profiles": {"tiny": {"workmanship": {"charts_LOD0": {"median": 549}}}},
        }
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json"])
def test_anything_else_is_refused_with_the_file_that_would_work(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)

    with pytest.raises(ConfigError, match="dreamfoundry dev check --json"):
        read_before(path)
