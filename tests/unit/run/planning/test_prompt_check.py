"""Words outside of the vocabulary of a bundled prior."""

from __future__ import annotations

import pytest

from dreamfoundry.diffusion.weights import TOYBOX, bundled_prior
from dreamfoundry.records import Prompt
from dreamfoundry.run.planning.prompt_check import vocabulary_check
from dreamfoundry.settings.prior import PriorConfig


def test_unknown_words_are_refused_with_the_nearest_known_ones_and_counted() -> None:
    check = vocabulary_check(PriorConfig(path=TOYBOX))
    assert check is not None

    assert check(Prompt("good", "a red mushroom")) is None
    assert check.num_refused == 0

    reason = check(Prompt("bad", "a gren dragon"))
    assert reason == "toybox was never trained on 'gren' (did you mean 'green'?), 'dragon'"
    assert check.num_refused == 1
    assert "mushroom, tree" in check.hint
    assert len(check.hint) < 350


@pytest.mark.parametrize(("num_words", "end"), [(5, "'w4'"), (6, "'w4' and 1 more"), (200, "'w4' and 195 more")])
def test_of_many_unknown_words_the_first_are_named(num_words: int, end: str) -> None:
    check = vocabulary_check(PriorConfig(path=TOYBOX))
    assert check is not None

    reason = check(Prompt("bad", " ".join(f"w{number}" for number in range(num_words))))

    assert reason is not None
    assert reason.endswith(end)


def test_negative_and_view_texts_are_checked_too() -> None:
    check = vocabulary_check(PriorConfig(path=TOYBOX))
    assert check is not None
    assert check(Prompt("bad", "a red cube", negative_text="a dragon")) == "toybox was never trained on 'dragon'"


def test_a_prior_that_is_not_bundled_takes_any_words() -> None:
    assert vocabulary_check(PriorConfig(path="/weights/other", license="Apache-2.0")) is None
    assert bundled_prior("/weights/other") is None
