"""Levels are told the size on the screen that they are good for, and those that no size needs are found."""

from itertools import pairwise

import pytest

from dreamfoundry.asset.surface.screen_size import MAX_SCREEN_SIZE, SCREEN_HEIGHT_PX, STEP_SHARE, screen_px, worthwhile


def test_a_level_is_good_for_as_many_pixels_as_keep_its_error_below_one() -> None:
    assert screen_px([0.001, 0.004, 0.02]) == pytest.approx([1000.0, 250.0, 50.0])


def test_nothing_is_looked_at_from_nearer_than_the_largest_size() -> None:
    assert screen_px([0.0]) == [MAX_SCREEN_SIZE * SCREEN_HEIGHT_PX]


@pytest.mark.parametrize("errors", [[0.001] * 4, [0.0, 0.0, 0.0], [0.0014, 0.0013, 0.0012, 0.006]])
def test_sizes_fall_also_where_errors_do_not_grow(errors: list[float]) -> None:
    sizes = screen_px(errors)

    assert all(coarser <= STEP_SHARE * finer for finer, coarser in pairwise(sizes))
    assert all(size_px * error <= 1.0 for size_px, error in zip(sizes, errors, strict=True))


@pytest.mark.parametrize(
    ("errors", "kept"),
    [
        ([0.001, 0.002, 0.004, 0.008], [0, 1, 2, 3]),
        ([0.0017, 0.0033, 0.0236, 0.0208], [0, 1, 3]),  # the coarsest is good for more than the one before
        ([0.0011, 0.0043, 0.0075, 0.0043], [0, 3]),
        ([0.001, 0.002, 0.00201], [0, 2]),
        ([0.004, 0.004], [0, 1]),  # the finest stays for what is nearer
        ([0.001], [0]),
    ],
)
def test_a_level_that_a_coarser_one_is_as_good_as_is_not_worthwhile(errors: list[float], kept: list[int]) -> None:
    assert worthwhile(errors) == kept
