"""Log events of candidates: what a probe says, and what follows."""

from __future__ import annotations

from dreamfoundry.distill.candidate_events import log_probe
from dreamfoundry.distill.successive_halving import Finish, GiveUp, Run, SuccessiveHalving
from dreamfoundry.errors import FlatField
from dreamfoundry.settings.selection import ProbeConfig
from support.log_lines import Event, recorded_events

NUM_STEPS = 100


def halve(probes: ProbeConfig, gains: dict[int, float], failing: dict[int, int]) -> list[Event]:
    """Events of a field whose candidates gain `gains`, and are flat after the steps in `failing`."""
    halving = SuccessiveHalving(probes, NUM_STEPS)
    candidate, action = halving.start(), None
    with recorded_events() as events:
        while not isinstance(action, Finish | GiveUp):
            step = halving.next_probe(candidate)
            failure = FlatField("a plate") if step >= failing.get(candidate, 10**9) else None
            action = halving.report(candidate, step, {"prompt_gain": gains.get(candidate, 0.0)}, failure)
            log_probe("cd", halving, candidate, failure, action)
            candidate = action.candidate if isinstance(action, Run) else candidate
    assert {event["field_key"] for event in events} == {"cd"}
    return events


def trail(events: list[Event]) -> list[tuple[str, int]]:
    return [(event["event"].removeprefix("candidate_"), event["candidate"]) for event in events]


def test_a_refused_candidate_is_restarted() -> None:
    events = halve(ProbeConfig(at=(0.2,), max_restarts=1), {}, failing={0: 20})

    assert trail(events) == [("refused", 0), ("started", 1), ("passed", 1), ("passed", 1), ("chosen", 1)]
    assert (events[0]["failure_class"], events[0]["step"], events[0]["cause"]) == ("flat", 20, "a plate")


def test_the_better_of_two_is_chosen_and_the_other_is_pruned() -> None:
    events = halve(ProbeConfig(at=(0.2,), best_of=2), {0: 0.3, 1: 0.1}, failing={})

    assert trail(events) == [
        ("passed", 0),
        ("parked", 0),
        ("started", 1),
        ("passed", 1),
        ("parked", 1),
        ("resumed", 0),
        ("passed", 0),
        ("chosen", 0),
        ("pruned", 1),
    ]


def test_a_field_without_candidates_left_ends_with_a_refusal() -> None:
    events = halve(ProbeConfig(at=(0.2,), max_restarts=0), {}, failing={0: 20})

    assert trail(events) == [("refused", 0)]
