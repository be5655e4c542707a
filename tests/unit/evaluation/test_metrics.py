"""Scores against true toys: exact for the toy itself, low for another, blind to height and yaw only."""

import numpy as np
import pytest

from dreamfoundry.evaluation.metrics import (
    align,
    best_yaw,
    dominant_color,
    saturation_error,
    score_back,
    sphere_f_scores,
    true_colors,
    true_surface,
    turn,
)
from dreamfoundry.toybox.captions import COLORS
from dreamfoundry.toybox.parts import ROLE_COLORS
from dreamfoundry.toybox.toys import KINDS_WITH_FRONT, toy


def moved(kind: str, yaw_deg: float = 30.0) -> np.ndarray:
    """Other samples of the true surface, turned, scaled and shifted as an asset might be."""
    points = toy(kind).surface_points(3000, seed=9).numpy().astype(np.float64)
    return turn(points, yaw_deg) * 3.0 + np.array([1.0, 2.0, 3.0])


def is_second_front(points: np.ndarray, kind: str) -> bool:
    score = score_back(points, kind, 0.0)
    assert score is not None
    return score.is_second_front


@pytest.mark.parametrize("kind", ["chair", "car", "mushroom"])
def test_the_toy_itself_scores_nearly_perfectly_whatever_its_size_place_and_yaw(kind: str) -> None:
    chamfer, yaw_deg, f_scores = best_yaw(align(moved(kind)), kind)

    assert chamfer < 0.01
    assert f_scores[0] > 0.99
    assert f_scores[1] > 0.9
    if kind in KINDS_WITH_FRONT:
        assert yaw_deg == 330.0  # turned back by 30 degrees


def test_another_toy_scores_worse_than_the_prompted_one() -> None:
    own = align(moved("mushroom"))

    assert best_yaw(own, "mushroom")[0] < best_yaw(own, "cone")[0]


def test_a_lying_toy_is_not_stood_up() -> None:
    lying = moved("cylinder", 0.0)[:, [1, 0, 2]]

    assert best_yaw(align(lying), "cylinder")[0] > 0.1


def test_a_sphere_scores_well_only_against_the_sphere() -> None:
    assert sphere_f_scores("sphere")[0] > 0.99
    assert sphere_f_scores("chair")[0] < 0.5


def test_alignment_puts_the_base_at_zero_and_the_height_at_one() -> None:
    points = align(moved("tree"))

    assert points[:, 1].min() == pytest.approx(0.0)
    assert points[:, 1].max() == pytest.approx(1.0)
    assert np.ptp(true_surface("tree")[:, 1]) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS_WITH_FRONT)
def test_a_toy_with_two_fronts_is_told_from_a_true_one(kind: str) -> None:
    points = align(moved(kind, 0.0))
    front = points[points[:, 2] > 0]
    two_faced = np.random.default_rng(0).permutation(np.concatenate([front, turn(front, 180.0)]))

    assert not is_second_front(points, kind)
    assert is_second_front(two_faced, kind)


def test_a_kind_without_a_front_has_no_back_to_judge() -> None:
    assert score_back(align(moved("torus")), "torus", 0.0) is None


@pytest.mark.parametrize("name", COLORS)
def test_a_palette_color_is_named_even_among_fixed_parts_and_noise(name: str) -> None:
    rng = np.random.default_rng(0)
    colors = np.concatenate(
        [np.tile(COLORS[name], (60, 1)), np.tile(ROLE_COLORS["white"], (80, 1)), np.tile(ROLE_COLORS["dark"], (80, 1))]
    )

    assert dominant_color(np.clip(colors + rng.normal(0, 0.02, colors.shape), 0, 1)) == name


@pytest.mark.parametrize("kind", ["torus", "car"])
def test_the_true_colors_have_no_saturation_error(kind: str) -> None:
    colors = true_colors(kind, "red")

    for in_any_order in (colors, colors[::-1]):
        assert saturation_error(in_any_order, kind, "red").hsv == pytest.approx(0.0)
        assert saturation_error(in_any_order, kind, "red").chroma == pytest.approx(0.0, abs=1e-9)


def test_stronger_colors_than_the_truth_are_positive_and_grey_ones_negative() -> None:
    pink = np.tile(COLORS["pink"], (50, 1))  # (0.96, 0.52, 0.72): HSV saturation 0.44 / 0.96

    stronger = saturation_error(np.tile((0.96, 0.0, 0.72), (50, 1)), "sphere", "pink")
    grey = saturation_error(pink.mean(axis=1, keepdims=True).repeat(3, axis=1), "sphere", "pink")

    assert stronger.hsv == pytest.approx(1.0 - 0.44 / 0.96, abs=1e-6)
    assert grey.hsv == pytest.approx(-0.44 / 0.96, abs=1e-6)
    assert stronger.chroma > 10.0 > -10.0 > grey.chroma


def test_fixed_parts_belong_to_the_truth() -> None:
    """A red car has dark wheels: all red is over-saturated."""
    assert saturation_error(np.tile(COLORS["red"], (50, 1)), "car", "red").hsv > 0.05
