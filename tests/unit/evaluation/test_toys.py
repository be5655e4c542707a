"""An evaluation asks what it says, counts what is missing as wrong, and shows figures with intervals."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dreamfoundry.evaluation.metrics import true_colors, true_surface
from dreamfoundry.evaluation.report import contact_sheet, kind_plot, markdown
from dreamfoundry.evaluation.toys import (
    DeliveredSurface,
    all_held_out_prompts,
    asset_row,
    few_prompts,
    figures,
    separations,
    summary,
)
from dreamfoundry.records import Outcome
from dreamfoundry.toybox.captions import COLORS, KINDS, color_of, held_out_pairs, kind_of


def pairs(prompts: list[str]) -> list[tuple[str, str]]:
    return [(str(color_of(text)), str(kind_of(text))) for text in prompts]


def outcome(text: str, **changes: object) -> Outcome:
    values: dict[str, Any] = {"state": "published", "slug": "toy", **changes}
    return Outcome("a" * 64, "f" * 64, "p000-s0", text, **values)


def row(text: str = "a red sphere", seed: int = 0, **changes: object) -> dict[str, object]:
    """A row of a missing asset, with `changes`."""
    return asset_row(text, seed, None, None) | changes


def test_the_few_prompts_cover_all_kinds_and_colors_and_a_third_is_held_out() -> None:
    asked = pairs(few_prompts())

    assert len(set(asked)) == 24
    assert {kind for _, kind in asked} == set(KINDS)
    assert {color for color, _ in asked} == set(COLORS)
    assert sum(pair in held_out_pairs() for pair in asked) == 8


def test_all_held_out_pairs_are_asked_and_as_many_trained_ones_with_the_same_kinds() -> None:
    trained, held_out = (asked := pairs(all_held_out_prompts()))[:27], asked[27:]

    assert set(held_out) == held_out_pairs()
    assert len(set(trained)) == 27
    assert not set(trained) & held_out_pairs()
    assert Counter(kind for _, kind in trained) == Counter(kind for _, kind in held_out)
    assert {kind for _, kind in trained} == set(KINDS)
    assert {color for color, _ in trained} == set(COLORS)
    assert all_held_out_prompts() == all_held_out_prompts()


@pytest.mark.slow
def test_the_true_toy_is_judged_right_in_everything() -> None:
    points, colors = np.asarray(true_surface("car")), true_colors("car", "red")
    made = outcome("a red car", scores={"flatness_ratio": 0.7}, provenance={"steps_spent": 300, "candidates": [{}, {}]})

    found = asset_row("a red car", 0, made, DeliveredSurface(points, colors))

    assert found["published"]
    assert found["kind_correct"]
    assert found["color_correct"]
    assert found["is_second_front"] is False
    assert found["front_error_deg"] == 0.0
    assert found["f_score_5_percent"] == pytest.approx(1.0)
    assert found["hsv_saturation_error"] == pytest.approx(0.0)
    assert (found["flatness_ratio"], found["num_candidates"], found["steps_spent"]) == (0.7, 2, 300)


@pytest.mark.parametrize("made", [None, outcome("a red car", state="quarantined", failure_class="empty")])
def test_what_was_not_published_counts_as_wrong_and_has_no_surface_to_measure(made: Outcome | None) -> None:
    found = figures([asset_row("a red car", 0, made, None)], {})

    assert (found["published"].value, found["kind_correct"].value, found["f_score_5_percent"].value) == (0.0, 0.0, 0.0)
    assert "hsv_saturation_error" not in found
    assert "is_second_front" not in found
    assert "steps_spent" not in found


def test_a_prompt_without_a_kind_or_a_color_is_refused() -> None:
    with pytest.raises(ValueError, match="must name a kind and a color"):
        asset_row("a dragon", 0, None, None)


def test_diversity_counts_each_prompt_once() -> None:
    rows = [row("a red sphere", 0), row("a red sphere", 1), row("a blue cube", 0)]

    assert figures(rows, {"a red sphere": 0.2, "a blue cube": 0.4})["diversity"].value == pytest.approx(0.3)
    assert figures(rows, {"a red sphere": 0.2})["diversity"].of == 1


def test_scores_are_held_against_the_truth_and_absent_ones_left_out() -> None:
    rows = [row(kind_correct=True, scores={"prompt_gain": gain, "genus": 1.0}) for gain in (0.5, 0.6)]
    rows += [row(kind_correct=False, scores={"prompt_gain": gain, "genus": 1.0}) for gain in (0.1, 0.2, 0.55)]
    rows += [row(kind_correct=False)]  # no scores
    found = separations(rows)

    assert set(found) == {"kind_correct"}
    assert set(found["kind_correct"]) == {"prompt_gain", "genus"}
    gain = found["kind_correct"]["prompt_gain"]
    assert gain.auc == pytest.approx(5 / 6)
    assert (gain.num_wrong, gain.num_right) == (3, 2)
    assert found["kind_correct"]["genus"].auc == 0.5


def test_the_share_of_faces_is_also_held_against_a_front_shown_twice() -> None:
    rows = [
        row(kind_correct=True, is_second_front=twice, scores={"several_faces_share": share})
        for twice, share in ((True, 0.9), (False, 0.1), (False, 0.2), (None, 0.99))
    ]

    found = separations(rows)["is_second_front"]["several_faces_share"]

    assert (found.auc, found.num_wrong, found.num_right) == (1.0, 1, 2)


@pytest.fixture(scope="module")
def mixed() -> dict[str, Any]:
    """Four rows, half of them held out, one missing."""
    good = {"published": True, "kind_correct": True, "color_correct": True, "f_score_5_percent": 0.8}
    held_out_color = next(color for color, kind in sorted(held_out_pairs()) if kind == "cube")
    rows = [
        row("a red sphere", 0, **good, scores={"prompt_gain": 0.5}),
        row("a red sphere", 1, **good, scores={"prompt_gain": 0.4}),
        row(f"a {held_out_color} cube", 0, **good | {"kind_correct": False}, scores={"prompt_gain": 0.3}),
        row(f"a {held_out_color} cube", 1),
    ]
    about = {"command": "python jobs/evaluate.py", "setting": {"asked": "2 prompts"}, "clip": "tiny@0123"}
    return about | summary(rows, {"a red sphere": 0.1})


def test_the_summary_is_json_and_splits_by_what_training_saw(mixed: dict[str, Any]) -> None:
    assert json.loads(json.dumps(mixed))["splits"]["all"]["asked"] == 4
    assert mixed["splits"]["held_out"]["figures"]["published"]["count"] == 1
    assert mixed["splits"]["trained"]["figures"]["kind_correct"]["value"] == 1.0
    assert set(mixed["kinds"]) == {"sphere", "cube"}


def test_the_tables_show_counts_intervals_and_only_what_was_measured(mixed: dict[str, Any]) -> None:
    text = markdown(mixed)

    assert text.startswith("```sh\npython jobs/evaluate.py\n```\n\n- asked: 2 prompts\n\n")
    assert "| published | 75% (30% to 95%; 3 of 4) | 50% (9% to 91%; 1 of 2) | 100% (34% to 100%; 2 of 2) |" in text
    assert re.search(r"\| F-score at 5 % of the diagonal \| 0\.60 \(0\.40 to 0\.80\) \|", text)
    assert "| cube | 2 | 1 of 2 | 0 of 2 | 1 of 2 | 0.40 |" in text
    assert "| `prompt_gain` | 1.00 |" in text
    assert "tiny@0123" in text
    assert "R-Precision with colour" not in text
    assert "candidates" not in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("| F") or line.startswith("| pub")]
    assert set(widths) == {5}


def test_plot_and_sheet_are_pictures_of_all_rows(mixed: dict[str, Any], tmp_path: Path) -> None:
    kind_plot(mixed, tmp_path / "kinds.png")
    contact_sheet(mixed["assets"], [None] * 4, tmp_path / "sheet.png")

    with Image.open(tmp_path / "kinds.png") as plot:
        assert np.asarray(plot.convert("L")).std() > 5
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (1024, 158)
