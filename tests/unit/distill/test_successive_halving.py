"""Successive halving of a prompt's candidates: who runs next, who wins, and when it is over."""

from typing import Any

import pytest

from dreamfoundry.distill.successive_halving import Action, Finish, GiveUp, Run, SuccessiveHalving, planned_steps
from dreamfoundry.errors import ConfigError, EmptyField, FlatField
from dreamfoundry.settings.selection import ProbeConfig

NUM_STEPS = 100
FLAT = FlatField("flat")


def run(
    probes: ProbeConfig, gains: dict[int, float], failing: dict[int, int] | None = None
) -> tuple[SuccessiveHalving, Action, list[tuple[int, int]]]:
    """Halve to the end: `gains` per candidate, `failing` the step after which a probe finds it flat."""
    halving, trail = SuccessiveHalving(probes, NUM_STEPS), []
    candidate, action = halving.start(), None
    while not isinstance(action, Finish | GiveUp):
        step = halving.next_probe(candidate)
        trail.append((candidate, step))
        failure = FLAT if step >= (failing or {}).get(candidate, 10**9) else None
        action = halving.report(candidate, step, {"prompt_gain": gains.get(candidate, 0.0)}, failure)
        candidate = action.candidate if isinstance(action, Run) else candidate
    return halving, action, trail


def test_a_single_candidate_is_probed_and_runs_to_its_end() -> None:
    halving, action, trail = run(ProbeConfig(at=(0.2,), best_of=1), {})

    assert trail == [(0, 20), (0, 100)]
    assert action == Finish(0)
    assert [one.verdict for one in halving.history(0).candidates] == ["chosen"]
    assert halving.history(0).steps_spent == planned_steps(ProbeConfig(at=(0.2,)), NUM_STEPS) == 100


def test_four_candidates_are_halved_at_each_rung() -> None:
    probes = ProbeConfig(at=(0.2, 0.5), best_of=4, step_budget=3.0)
    halving, action, trail = run(probes, {0: 0.1, 1: 0.4, 2: 0.3, 3: 0.2})

    assert trail == [(0, 20), (1, 20), (2, 20), (3, 20), (1, 50), (2, 50), (1, 100)]
    assert action == Finish(1)
    assert halving.history(1).steps_spent == 20 + 100 + 50 + 20 == planned_steps(probes, NUM_STEPS)
    assert [one.verdict for one in halving.history(1).candidates] == ["outrun", "chosen", "outrun", "outrun"]


def test_a_failed_candidate_is_replaced_by_a_new_one() -> None:
    halving, action, trail = run(ProbeConfig(at=(0.2,), max_restarts=2, step_budget=2.0), {}, failing={0: 20, 1: 20})

    assert trail == [(0, 20), (1, 20), (2, 20), (2, 100)]
    assert action == Finish(2)
    assert [one.verdict for one in halving.history(2).candidates] == ["flat", "flat", "chosen"]


def test_a_winner_that_fails_in_the_end_gives_way_to_the_best_that_was_parked() -> None:
    _, action, trail = run(ProbeConfig(at=(0.2,), best_of=3, max_restarts=0), {1: 0.3, 2: 0.2}, failing={1: 100})

    assert trail[-2:] == [(1, 100), (2, 100)]
    assert action == Finish(2)


def test_restarts_end_with_the_class_of_the_candidate_that_came_furthest() -> None:
    halving, action, _ = run(ProbeConfig(at=(0.2,), max_restarts=2), {}, failing={0: 20, 1: 100, 2: 20})

    assert action == GiveUp(FLAT)
    assert [one.num_steps for one in halving.history(None).candidates] == [20, 100, 20]


def test_a_failure_between_probes_counts_with_the_steps_it_took() -> None:
    halving = SuccessiveHalving(ProbeConfig(at=(0.2,), max_restarts=0), NUM_STEPS)
    empty = EmptyField("nothing there")

    assert halving.report(halving.start(), 10, {}, empty) == GiveUp(empty)
    assert halving.history(None).steps_spent == 10


def test_no_candidate_is_started_that_the_budget_would_not_let_finish() -> None:
    halving, _, trail = run(ProbeConfig(at=(0.2,), best_of=8, step_budget=1.5), {7: 0.9})

    assert [candidate for candidate, step in trail if step == 20] == [0, 1, 2]
    assert halving.history(0).steps_spent == 140 <= halving.step_budget == 150


@pytest.mark.parametrize("best_of", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("budget", [1.0, 1.3, 2.0, 4.0])
@pytest.mark.parametrize("failing", [{}, {0: 20}, {0: 100, 1: 50}, dict.fromkeys(range(20), 100)])
def test_every_halving_ends_within_its_budget(best_of: int, budget: float, failing: dict[int, int]) -> None:
    probes = ProbeConfig(at=(0.2, 0.5), best_of=best_of, max_restarts=3, step_budget=budget)
    halving, action, _ = run(probes, {n: n / 10 for n in range(20)}, failing)
    history = halving.history(action.candidate if isinstance(action, Finish) else None)

    assert history.steps_spent <= max(halving.step_budget, NUM_STEPS)
    assert isinstance(action, Finish) == (history.chosen is not None)
    assert len(history.candidates) <= best_of + 3


def test_the_steps_ahead_count_down_to_zero() -> None:
    halving = SuccessiveHalving(ProbeConfig(at=(0.2,), best_of=2), NUM_STEPS)
    halving.start()

    assert halving.steps_ahead(0, 0) == 120
    assert halving.report(0, 20, {}) == Run(1)
    assert halving.steps_ahead(1, 5) == 95
    assert halving.report(1, 20, {"prompt_gain": 0.5}) == Run(1)
    assert halving.steps_ahead(1, 99) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"at": (0.5, 0.2)}, "looks.at = .*rising"),
        ({"at": (0.0,)}, "looks.at = .*between 0 and 1"),
        ({"at": (), "best_of": 2}, "looks.best_of = 2: needs looks.at"),
        ({"step_budget": 0.5}, "looks.step_budget = 0.5: must be from 1"),
        ({"timesteps": ()}, "looks.timesteps"),
    ],
)
def test_probes_that_make_no_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProbeConfig(**wrong)
