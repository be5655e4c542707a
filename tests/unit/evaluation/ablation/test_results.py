"""Suites resolve, finished lines hold only while their recipe and prior do, figures and pages say what was measured."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dreamfoundry.errors import ConfigError
from dreamfoundry.evaluation.ablation.field_row import field_row, row_without_surface
from dreamfoundry.evaluation.ablation.figures import figures_of
from dreamfoundry.evaluation.ablation.report import format_figure, markdown, picture_sheet, plot
from dreamfoundry.evaluation.ablation.results import FieldRequest, current_rows, groups_to_do, requests_of
from dreamfoundry.evaluation.ablation.suites import PROMPTS, Suite, bundled_suites, quick_suite, read_suite
from dreamfoundry.evaluation.statistics import Figure, share_of
from dreamfoundry.evaluation.toys import all_held_out_prompts
from dreamfoundry.records import FieldSnapshot
from dreamfoundry.settings.loading import bundled_recipe
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.toybox.captions import color_of, held_out_pairs, kind_of
from dreamfoundry.toybox.toys import KINDS_WITH_FRONT, role_palette, toy

SUITES = sorted(bundled_suites().values())
PRIOR = PriorIdentity("some/prior", "", "d" * 64, "MIT")


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_bundled_suite_resolves_and_no_two_of_its_variants_are_the_same(path: Path) -> None:
    suite = read_suite(path)

    assert suite.about
    assert len({(variant.recipe, variant.prior) for variant in suite.variants}) == len(suite.variants) > 1
    assert all(variant.why for variant in suite.variants[1:])


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_all_variants_of_a_bundled_suite_look_at_the_same_number_of_views(path: Path) -> None:
    recipes = [variant.recipe for variant in read_suite(path).variants]

    assert len({recipe.optimize.num_steps * recipe.optimize.views_per_step for recipe in recipes}) == 1


def test_every_question_that_is_asked_of_the_recipe_has_a_suite() -> None:
    assert [path.stem for path in SUITES] == [
        "additions",
        "baselines",
        "costs",
        "limits",
        "omega",
        "paper",
        "references",
    ]


def test_the_prompts_are_eight_trained_toys_of_which_half_have_a_front() -> None:
    pairs = {(color_of(text), kind_of(text)) for text in PROMPTS}

    assert len(pairs) == 8
    assert not pairs & held_out_pairs()
    assert sum(kind in KINDS_WITH_FRONT for _, kind in pairs) >= 4


def test_the_baselines_are_asked_what_the_evaluation_asks() -> None:
    (path,) = [path for path in SUITES if path.stem == "baselines"]
    prompts = read_suite(path).prompts

    assert len(prompts) == 12
    assert set(prompts) < set(all_held_out_prompts())
    assert sum((color_of(text), kind_of(text)) in held_out_pairs() for text in prompts) == 6


def suite_file(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


STEPS = """
axis = "guidance.guidance_scale"
changes.optimize.num_steps = 5
[[variants]]
name = "narrow"
builds_on = "wide"
changes.cameras.elevation_deg = [29.0, 31.0]
[[variants]]
name = "wide"
changes.guidance.guidance_scale = 21.0
changes.guidance.timestep_low = { start = 0.5, end = 0.1 }
[[variants]]
name = "other"
recipe = "dreamfusion"
slots = 1
"""


def test_a_variant_stands_on_another_one_on_the_shared_changes_or_on_a_recipe_of_its_own(tmp_path: Path) -> None:
    narrow, wide, other = read_suite(suite_file(tmp_path, STEPS)).variants

    assert wide.recipe.guidance.guidance_scale == narrow.recipe.guidance.guidance_scale == 21.0
    assert dataclasses.replace(narrow.recipe, cameras=wide.recipe.cameras) == wide.recipe
    assert {variant.recipe.optimize.num_steps for variant in (narrow, wide, other)} == {5}
    assert other.recipe.guidance == bundled_recipe("dreamfusion").guidance
    assert other.slots == 1
    assert wide.changes == "guidance.guidance_scale = 21.0; guidance.timestep_low = { start = 0.5, end = 0.1 }"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[variants]\n", "not valid TOML"),
        ("about = 'nothing'\n", r"at least one table \[\[variants\]\]"),
        ("[[variants]]\nname = 'a'\n[[variants]]\nname = 'a'\n", "each with a name of its own"),
        ("[[variants]]\nname = 'a'\nbecause = 'b'\n", "'a' = 'because': must be one of the keys name, why"),
        ("[[variants]]\nname = 'a'\nbuilds_on = 'b'\n", "builds_on = 'b': must be one of a"),
        ("[[variants]]\nname = 'a'\nbuilds_on = 'a'\n", "must not lead back"),
        ("[[variants]]\nname = 'a'\nprior = 'oracle'\n", "must be one of denoiser, classifier"),
        ("[[variants]]\nname = 'a'\nchanges.optimize.num_step = 1\n", "variant 'a': .*did you mean 'num_steps'"),
        ("axis = 'guidance'\n[[variants]]\nname = 'a'\n", "must be the dotted key of a number"),
    ],
)
def test_a_suite_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_suite(suite_file(tmp_path, text))


def line_of(suite: Suite, index: int, request: FieldRequest, **measured: Any) -> dict[str, Any]:
    row = {"variant": suite.variants[index].name, "key": request.key, "run": 1, "step_s": 0.1}
    row |= {"prompt": request.prompt.text, "seed": request.prompt.seed, "failure": None, "picture": None}
    good = {"kind_correct": True, "nearest_kind": "cube", "f_score_5_percent": 0.8, "f_score_2_percent": 0.4}
    good |= {"flatness_ratio": 0.9, "is_second_front": None, "saturation_error": 0.2}
    return row | good | measured


def requests_by_variant(
    suite: Suite, texts: Sequence[str] = ("a red cube", "a blue car"), num_seeds: int = 2, prior: PriorIdentity = PRIOR
) -> dict[str, list[FieldRequest]]:
    return {variant.name: requests_of(variant, texts, num_seeds, prior) for variant in suite.variants}


def test_a_finished_line_counts_until_its_recipe_or_its_prior_changes() -> None:
    suite = quick_suite(["plain", "long; optimize.num_steps = 400"], "toybox")
    requests = requests_by_variant(suite)
    lines = [json.dumps(line_of(suite, 0, request)) for request in requests["plain"]]
    changed = quick_suite(["plain; optimize.num_steps = 100", "long; optimize.num_steps = 400"], "toybox")
    retrained = requests_by_variant(suite, prior=dataclasses.replace(PRIOR, digest="e" * 64))

    assert len(current_rows([*lines, lines[0]], requests)) == 4
    assert len(current_rows(lines, requests_by_variant(suite, num_seeds=3))) == 4
    assert current_rows(lines, requests_by_variant(changed)) == []
    assert current_rows(lines, retrained) == []


def test_suites_share_the_fields_of_variants_that_come_to_the_same_recipe() -> None:
    suite = quick_suite(["plain", "long; optimize.num_steps = 400"], "toybox")
    other = quick_suite(["short", "own name; optimize.num_steps = 400", "again; optimize.num_steps = 400"], "toybox")
    lines = [json.dumps(line_of(suite, 0, request)) for request in requests_by_variant(suite)["plain"]]

    rows = current_rows(lines, requests_by_variant(other))
    missing = groups_to_do(other, requests_by_variant(other), rows, 4)

    assert [row["variant"] for row in rows] == ["short"] * 4
    assert [group.variant.name for group in missing] == ["own name"]


def test_what_is_missing_comes_in_groups_and_variants_take_turns() -> None:
    suite = quick_suite(["plain", "long; optimize.num_steps = 400"], "toybox")
    requests = requests_by_variant(suite)
    rows = [line_of(suite, 0, requests["plain"][0])]

    groups = groups_to_do(suite, requests, rows, 2)

    assert [group.variant.name for group in groups] == ["plain", "long", "plain", "long"]
    assert [len(group.requests) for group in groups] == [1, 2, 2, 2]
    assert groups[0].requests == (requests["plain"][1],)


def test_a_variant_of_one_slot_works_on_one_prompt_at_a_time(tmp_path: Path) -> None:
    suite = read_suite(suite_file(tmp_path, STEPS))

    groups = groups_to_do(suite, requests_by_variant(suite), [], 4)

    assert [len(group.requests) for group in groups if group.variant.name == "other"] == [1, 1, 1, 1]
    assert [len(group.requests) for group in groups if group.variant.name == "wide"] == [4]


def figure(value: Figure | None) -> Figure:
    assert value is not None
    return value


def test_variants_are_compared_on_the_same_prompts_and_step_times_of_the_same_run_only() -> None:
    suite = quick_suite(["plain", "long; optimize.num_steps = 400"], "toybox")
    requests = requests_by_variant(suite)
    rows = [line_of(suite, 0, request, f_score_5_percent=0.5, is_second_front=True) for request in requests["plain"]]
    rows += [line_of(suite, 1, request, step_s=0.3) for request in requests["long"][:2]]
    rows += [line_of(suite, 1, requests["long"][2], step_s=9.0, run=2, failure="empty", **row_without_surface("empty"))]
    differences = {("plain", "a red cube"): 0.1, ("plain", "a blue car"): 0.3}

    plain, long = figures_of(rows, ["plain", "long"], differences)

    assert figure(plain.diversity).value == pytest.approx(0.2)
    assert long.diversity is None

    assert figure(plain.f_score_gain).value == 0.0
    assert plain.step_ratio == 1.0
    assert figure(plain.second_fronts).value == 1.0
    assert figure(plain.second_fronts).of == 4
    assert (long.asked, long.failed) == (3, 1)
    assert figure(long.kind).value == pytest.approx(2 / 3)
    assert figure(long.f_score_gain).value == pytest.approx((0.3 + 0.3 - 0.5) / 3)
    assert long.step_ratio == pytest.approx(3.0)
    assert figure(long.saturation_error).value == pytest.approx(0.2)
    assert figure(long.saturation_error).of == 2
    assert long.second_fronts is None


def test_the_page_names_command_digests_counts_and_intervals_and_pictures_lie_beside_it(tmp_path: Path) -> None:
    suite = quick_suite(["plain", "long; optimize.num_steps = 400"], "toybox")
    requests = requests_by_variant(suite)
    rows = [
        line_of(suite, index, request) for index, name in enumerate(requests) for request in requests[name][: 3 + index]
    ]
    figures = figures_of(rows, list(requests), {})

    page = markdown(suite, figures, {"weights": "d" * 64}, "python jobs/ablation.py quick")
    plot(suite, figures, tmp_path / "quick.png")
    picture_sheet(suite, rows, tmp_path, tmp_path / "quick_fields.png")

    assert "python jobs/ablation.py quick" in page
    assert "d" * 64 in page
    assert "`optimize.num_steps = 400`" in page
    assert f"| plain | 3 | 0 | {format_figure(share_of([True] * 3), '{:.0%}')} | 0.80 (0.80 to 0.80) |" in page
    assert "100% (44% to 100%), 3 of 3" in page
    assert (tmp_path / "quick.png").stat().st_size > 5000
    assert (tmp_path / "quick_fields.png").exists()


def test_a_suite_with_an_axis_is_plotted_over_it(tmp_path: Path) -> None:
    texts = ["strong; guidance.guidance_scale = 101.0", "weak; guidance.guidance_scale = 8.5"]
    suite = dataclasses.replace(quick_suite(texts, "toybox"), axis="guidance.guidance_scale")
    requests = requests_by_variant(suite)
    rows = [line_of(suite, index, request) for index, name in enumerate(requests) for request in requests[name]]
    plot(suite, figures_of(rows, list(requests), {}), tmp_path / "axis.png")

    assert suite.axis_values() == [101.0, 8.5]
    assert (tmp_path / "axis.png").stat().st_size > 5000


def toy_shape(
    kind: str, color: str, *, two_faced: bool = False
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Distance and colour of a true toy, for `make_snapshot`; two-faced, its back half mirrors its front."""

    def shape(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there = torch.from_numpy(points.astype(np.float32))
        if two_faced:
            there = torch.stack([there[:, 0], there[:, 1], there[:, 2].abs()], dim=1)
        return toy(kind).distance(there).numpy(), role_palette(color)[toy(kind).roles(there)].numpy()

    return shape


@pytest.mark.slow
def test_the_field_of_a_true_toy_is_right_in_everything_that_is_judged(
    make_snapshot: Callable[..., FieldSnapshot],
) -> None:
    row = field_row(make_snapshot(toy_shape("snowman", "blue"), resolution=48), "a blue snowman")

    assert row["kind_correct"]
    assert row["nearest_kind"] == "snowman"
    assert row["f_score_5_percent"] > 0.95
    assert row["is_second_front"] is False
    assert abs(row["saturation_error"]) < 0.06
    assert 0.5 < row["flatness_ratio"] <= 1.0


@pytest.mark.slow
def test_a_second_front_a_wrong_kind_and_strong_colours_are_seen(make_snapshot: Callable[..., FieldSnapshot]) -> None:
    twice = field_row(make_snapshot(toy_shape("car", "pink", two_faced=True), resolution=48), "a pink car")
    wrong = field_row(make_snapshot(toy_shape("torus", "red"), resolution=48), "a pink cube")

    assert twice["is_second_front"] is True
    assert not wrong["kind_correct"]
    assert wrong["nearest_kind"] == "torus"
    assert wrong["is_second_front"] is None
    assert wrong["saturation_error"] > 0.2


def test_a_prompt_that_names_no_toy_cannot_be_judged(make_snapshot: Callable[..., FieldSnapshot]) -> None:
    with pytest.raises(ConfigError, match="must name a kind and a colour"):
        field_row(make_snapshot(toy_shape("cube", "red")), "something else")
