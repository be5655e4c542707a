"""What a person sees while a run is under way: one refreshing line, or a plain one now and then."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from dreamfoundry.run.scheduling.run_stats import Status

TERMINAL_INTERVAL_S = 0.5
PLAIN_INTERVAL_S = 30.0

RATE_WINDOW_S = 120.0
"""Steps per second are measured over this time."""


@runtime_checkable
class TextStream(Protocol):
    """Where text goes: sys.stderr, a file, or memory."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


class Progress:
    """Shows `Status` on `stream`: in place on a terminal, as lines every 30 s elsewhere."""

    def __init__(self, stream: TextStream, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._is_terminal = stream.isatty()
        self._interval_s = TERMINAL_INTERVAL_S if self._is_terminal else PLAIN_INTERVAL_S
        self._started_s = clock()
        self._shown_s = float("-inf") if self._is_terminal else clock()
        self._samples: deque[tuple[float, int]] = deque()

    def show(self, status: Status) -> None:
        """Take note of `status` and display it when the last display is old enough."""
        now_s = self._clock()
        self._sample(now_s, status.steps_done)
        if now_s - self._shown_s < self._interval_s:
            return
        self._shown_s = now_s
        text = f"{duration(now_s - self._started_s):>8}  {describe(status, self.steps_per_s)}"
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r{text[:width]:<{width}}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        """Show something that the operator should know, on a line of its own."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
        self._stream.write(f"note: {text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the cursor on an empty line."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    @property
    def steps_per_s(self) -> float:
        """Steps of all slots per second, over the last two minutes; 0 before the second report."""
        if len(self._samples) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_s - first_s)

    def eta_s(self, status: Status) -> float | None:
        """Seconds to the end of all steps at the speed of now; None before the first figures."""
        return status.steps_left / self.steps_per_s if self.steps_per_s else None

    def _sample(self, now_s: float, steps_done: int) -> None:
        if steps_done > (self._samples[-1][1] if self._samples else 0):  # the first report starts the clock
            self._samples.append((now_s, steps_done))
        while len(self._samples) > 2 and now_s - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()


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
    if status.steps_left and not status.steps_done:
        parts.append("loading the prior")
    elif status.steps_left and steps_per_s:
        parts += [f"{steps_per_s:.1f} steps/s", f"ETA {duration(status.steps_left / steps_per_s)}"]
    return " · ".join(parts)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
