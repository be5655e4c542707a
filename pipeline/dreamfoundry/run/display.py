"""One place on a stream for progress: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

TERMINAL_INTERVAL_S = 0.5
PLAIN_INTERVAL_S = 30.0

Clock = Callable[[], float]


@runtime_checkable
class TextStream(Protocol):
    """A destination of text: sys.stderr, a file, or memory."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


@runtime_checkable
class Display(Protocol):
    """Shows how far something is."""

    def show(self, share: float | None, text: str, *, at_once: bool = False) -> None:
        """Display `text` and a share in [0, 1], None if it is unknown, when the last display is old enough."""

    def note(self, text: str) -> None:
        """Print something that the operator should know, on a line of its own."""

    def close(self) -> None:
        """Leave the cursor on an empty line."""


def open_display(
    stream: TextStream, plain_interval_s: float = PLAIN_INTERVAL_S, clock: Clock = time.monotonic
) -> Display:
    """The display that fits `stream`: a terminal that cannot move its cursor gets lines."""
    if stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        return _TerminalDisplay(stream, clock)
    return _PlainDisplay(stream, plain_interval_s, clock)


class _PlainDisplay:
    """A line when the last one is old enough; the first after a full interval."""

    def __init__(self, stream: TextStream, interval_s: float, clock: Clock) -> None:
        self._stream, self._interval_s, self._clock = stream, interval_s, clock
        self._started_s = self._last_s = clock()

    def show(self, share: float | None, text: str, *, at_once: bool = False) -> None:
        now_s = self._clock()
        if now_s - self._last_s >= self._interval_s or at_once:
            self._last_s = now_s
            self._write(f"{duration(now_s - self._started_s):>8}  {text}")

    def note(self, text: str) -> None:
        self._write(f"note: {printable(text)}")

    def close(self) -> None:
        """Nothing: the last line has ended."""

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class _TerminalDisplay:
    """One bar that is redrawn in place and removed at the end."""

    def __init__(self, stream: TextStream, clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        self._started_s = clock()
        self._last_s = float("-inf")
        self._bar: RichProgress | None = None

    def show(self, share: float | None, text: str, *, at_once: bool = False) -> None:
        now_s = self._clock()
        if now_s - self._last_s < TERMINAL_INTERVAL_S and not at_once:
            return

        self._last_s = now_s
        bar = self._open_bar()
        elapsed = f"{duration(now_s - self._started_s):>8}"
        bar.update(bar.task_ids[0], total=None if share is None else 1.0, completed=share or 0.0, description=elapsed)
        bar.update(bar.task_ids[0], text=text)
        bar.refresh()

    def note(self, text: str) -> None:
        if self._bar is not None:  # above the bar, which stays the last line
            self._bar.console.print(f"note: {printable(text)}", markup=False, highlight=False, soft_wrap=True)
            return
        self._stream.write(f"note: {printable(text)}\n")
        self._stream.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _open_bar(self) -> RichProgress:
        if self._bar is not None:
            return self._bar
        from rich.console import Console  # only people at a terminal wait for its import
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(file=self._stream),  # type: ignore[arg-type]  # it writes, flushes and asks isatty only
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar.add_task("", total=None, text="")
        self._bar.start()
        return self._bar


def printable(text: str) -> str:
    """`text` in one line, what a terminal would obey shown as escapes: names of files and columns may hold anything."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
