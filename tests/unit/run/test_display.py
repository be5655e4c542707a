"""A bar for a terminal, plain lines for everything else."""

from __future__ import annotations

import io

import pytest

from dreamfoundry.run.display import duration, open_display


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def a_capable_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")


def test_a_file_gets_a_line_every_thirty_seconds() -> None:
    stream, now_s = io.StringIO(), 0.0
    display = open_display(stream, clock=lambda: now_s)
    for second in range(0, 95, 5):
        now_s = float(second)
        display.show(0.5, "going on")
    lines = stream.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["0:00:30", "0:01:00", "0:01:30"]


def test_a_file_gets_what_is_urgent_and_notes_at_once() -> None:
    stream = io.StringIO()
    display = open_display(stream, clock=lambda: 0.0)
    display.show(None, "exporting", at_once=True)
    display.show(None, "not due")
    display.note("a worker died")
    assert stream.getvalue() == " 0:00:00  exporting\nnote: a worker died\n"


def test_a_terminal_gets_one_bar_that_is_redrawn_in_place_and_removed_at_the_end() -> None:
    stream, now_s = Terminal(), 0.0
    display = open_display(stream, clock=lambda: now_s)
    for second in range(3):
        now_s = float(second)
        display.show(second / 4, f"step {second}")
    during = stream.getvalue()
    display.close()

    assert [f"step {second}" in during for second in range(3)] == [True, True, True]
    assert during.count("\n") == 0
    assert "\x1b[2K" in stream.getvalue()[len(during) :], "the line is cleared"
    assert stream.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in stream.getvalue(), "the cursor is back"


def test_a_terminal_is_redrawn_twice_a_second_at_most() -> None:
    stream, now_s = Terminal(), 0.0
    display = open_display(stream, clock=lambda: now_s)
    for now_s in (0.0, 0.1, 0.2, 0.5):
        display.show(0.0, f"at {now_s}")
    display.close()
    assert [f"at {time}" in stream.getvalue() for time in (0.0, 0.1, 0.2, 0.5)] == [True, False, False, True]


def test_notes_at_a_terminal_stand_above_the_bar() -> None:
    stream = Terminal()
    display = open_display(stream, clock=lambda: 0.0)
    display.note("before [the] bar")
    display.show(0.0, "going on")
    display.note("a [worker] died")
    display.close()
    assert stream.getvalue().startswith("note: before [the] bar\n")
    assert "note: a [worker] died\n" in stream.getvalue()


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    open_display(stream, clock=lambda: 0.0).show(0.0, "going on", at_once=True)
    assert stream.getvalue() == " 0:00:00  going on\n"


def test_durations_are_hours_minutes_and_seconds() -> None:
    assert [duration(seconds) for seconds in (0.4, 61.0, 3723.0)] == ["0:00:00", "0:01:01", "1:02:03"]
