"""Retries of calls to a store: pauses, limits, and the log events of each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import EndpointConnectionError

from dreamfoundry.errors import StoreUnavailable
from dreamfoundry.object_store.s3.retry import FIRST_PAUSE_S, LONGEST_PAUSE_S, Retries
from support.log_lines import names, recorded_events


def failing(num_times: int) -> Callable[[], str]:
    """An action that fails so often before it succeeds."""
    left = [EndpointConnectionError(endpoint_url="http://away")] * num_times

    def action() -> str:
        if left:
            raise left.pop()
        return "done"

    return action


def test_each_retry_is_an_event_and_so_is_the_answer_in_the_end() -> None:
    pauses: list[float] = []
    retries = Retries("s3://shelf", 600.0, lambda text: None, pauses.append)
    with recorded_events() as events:
        assert retries.call(failing(3), "outcomes/ab.json") == "done"

    assert names(events) == ["store_retry"] * 3 + ["store_answers"]
    assert [event["tries"] for event in events] == [1, 2, 3, 4]
    assert {event["key"] for event in events} == {"outcomes/ab.json"}
    assert "away" in events[0]["cause"]
    assert [event["pause_s"] for event in events[:3]] == pytest.approx(pauses, abs=1e-3)


def test_a_call_that_succeeds_at_once_is_no_event() -> None:
    with recorded_events() as events:
        Retries("s3://shelf", 1.0, lambda text: None, lambda pause_s: None).call(failing(0))

    assert events == []


def test_pauses_grow_to_their_limit_and_add_up_to_the_timeout() -> None:
    pauses: list[float] = []
    retries = Retries("s3://shelf", 200.0, lambda text: None, pauses.append)
    with recorded_events() as events, pytest.raises(StoreUnavailable, match="check the network"):
        retries.call(failing(10_000))

    assert pauses[0] <= FIRST_PAUSE_S
    assert max(pauses) <= LONGEST_PAUSE_S
    assert sum(pauses) == pytest.approx(200.0, abs=1.0)
    assert names(events)[-1] == "store_failed"
