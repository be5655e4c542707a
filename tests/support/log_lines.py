"""Log events of a test: recorded in memory, or read from a file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dreamfoundry.host.log_events import recording

Event = Mapping[str, Any]


def events_of(text: str) -> list[Event]:
    """The events among the lines of `text`; other lines are left out."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@contextmanager
def recorded_events() -> Iterator[list[Event]]:
    """The events within a `with`, there after its end."""
    stream, events = io.StringIO(), list[Event]()
    with recording(stream=stream):
        yield events
    events += events_of(stream.getvalue())


def names(events: Iterable[Event]) -> list[str]:
    return [event["event"] for event in events]


def about(events: Iterable[Event], asset_key: str, field_key: str) -> list[Event]:
    """The events about an asset and about its field, in their order."""
    return [e for e in events if e.get("asset_key", asset_key) == asset_key and e.get("field_key") == field_key]
