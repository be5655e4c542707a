"""Progress of a run for people: counts, speed and time left, as a bar or as plain lines."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from dreamfoundry.run.display import PLAIN_INTERVAL_S, TextStream, duration, open_display
from dreamfoundry.run.scheduling.run_stats import Status

RATE_WINDOW_S = 120.0
"""Steps per second are measured over this time."""


class Progress:
    """Shows `Status` on `stream`: in place on a terminal, as lines every 30 s elsewhere."""

    def __init__(self, stream: TextStream, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._display = open_display(stream, PLAIN_INTERVAL_S, clock)
        self._samples: deque[tuple[float, int]] = deque()

    def show(self, status: Status) -> None:
        """Take note of `status` and display it when the last display is old enough."""
        self._sample(self._clock(), status.steps_done)
        self._display.show(share_done(status), describe(status, self.steps_per_s))

    def count(self, counted: str, number: int) -> None:
        """Display how many of something are done, where nobody knows of how many."""
        self._display.show(None, f"{number:,} {counted}")

    def note(self, text: str) -> None:
        """Show something that the operator should know, on a line of its own."""
        self._display.note(text)

    def close(self) -> None:
        """Leave the cursor on an empty line."""
        self._display.close()

    @property
    def steps_per_s(self) -> float:
        """Steps of all slots per second, over the last two minutes; 0 before the second report."""
        if len(self._samples) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_s - first_s)

    def eta_s(self, status: Status) -> float | None:
        """Seconds to the end of all steps at the present speed; None before the first figures."""
        return status.steps_left / self.steps_per_s if self.steps_per_s else None

    def _sample(self, now_s: float, steps_done: int) -> None:
        if steps_done > (self._samples[-1][1] if self._samples else 0):  # the first report starts the clock
            self._samples.append((now_s, steps_done))
        while len(self._samples) > 2 and now_s - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()


def share_done(status: Status) -> float | None:
    """The share of the steps that is done; of the builds once no steps are left; None before the first step."""
    if status.steps_left:
        return status.steps_done / (status.steps_done + status.steps_left) if status.steps_done else None
    return (status.published + status.quarantined) / max(1, status.num_builds)


def describe(status: Status, steps_per_s: float) -> str:
    """One line: how many builds are done, failed and in flight, the speed, and the time left."""
    parts = [f"{status.published}/{status.num_builds} done", f"{status.quarantined} failed"]
    counts = {
        "optimizing": status.optimizing,
        "exporting": status.exporting,
        "waiting": status.waiting,
        "elsewhere": status.delegated,
    }
    parts += [f"{count} {name}" for name, count in counts.items() if count]

    if status.postponed and not status.optimizing:
        parts.append(f"another run has {status.postponed} of them, waiting until it is done or its leases end")
    elif status.steps_left and not status.steps_done:
        parts.append("loading the prior")
    elif status.steps_left and steps_per_s:
        parts += [f"{steps_per_s:.1f} steps/s", f"ETA {duration(status.steps_left / steps_per_s)}"]
    return " · ".join(parts)
