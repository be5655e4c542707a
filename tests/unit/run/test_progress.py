"""Progress of a run as a person sees it."""

from __future__ import annotations

import io
from typing import Any

from dreamfoundry.run.progress import Progress, describe, share_done
from dreamfoundry.run.scheduling.run_stats import Status


def status(steps_done: int = 0, steps_left: int = 0, **counts: int) -> Status:
    names = ("num_builds", "published", "quarantined", "waiting", "postponed", "optimizing", "exporting", "delegated")
    values: dict[str, Any] = {name: counts.get(name, 0) for name in names}
    return Status(**values, steps_done=steps_done, steps_left=steps_left)


def test_a_line_names_what_is_done_what_failed_what_is_under_way_and_the_time_left() -> None:
    now = status(100, 300, num_builds=9, published=3, quarantined=1, optimizing=2, exporting=1, waiting=2)
    assert describe(now, steps_per_s=5.0) == (
        "3/9 done · 1 failed · 2 optimizing · 1 exporting · 2 waiting · 5.0 steps/s · ETA 0:01:00"
    )


def test_a_run_that_waits_for_another_one_says_so_and_not_that_it_loads() -> None:
    held = status(0, 300, num_builds=2, waiting=2, postponed=2)
    both = status(0, 300, num_builds=2, waiting=1, optimizing=1, postponed=1)

    waits = "another run has 2 of them, waiting until it is done or its leases end"
    assert describe(held, 0.0) == f"0/2 done · 0 failed · 2 waiting · {waits}"
    assert describe(both, 0.0) == "0/2 done · 0 failed · 1 optimizing · 1 waiting · loading the prior"


def test_an_export_alone_shows_no_speed() -> None:
    assert describe(status(num_builds=2, exporting=2), steps_per_s=0.0) == "0/2 done · 0 failed · 2 exporting"


def test_the_time_before_the_first_report_does_not_count_as_speed() -> None:
    reports = {0.0: 0, 60.0: 0, 60.5: 40, 65.0: 40, 70.5: 60}
    times_s = [0.0]
    progress = Progress(io.StringIO(), clock=lambda: times_s[-1])
    for now_s, steps in reports.items():
        times_s.append(now_s)
        progress.show(status(steps, 1000))
    assert progress.steps_per_s == 2.0


def test_a_file_gets_the_elapsed_time_and_the_counts_every_thirty_seconds() -> None:
    stream, now_s = io.StringIO(), 0.0
    progress = Progress(stream, clock=lambda: now_s)
    for second in range(0, 95, 5):
        now_s = float(second)
        progress.show(status(num_builds=1))
    progress.close()
    assert stream.getvalue().splitlines() == [f" 0:{time}  0/1 done · 0 failed" for time in ("00:30", "01:00", "01:30")]


def test_the_bar_is_of_steps_and_at_the_end_of_builds() -> None:
    assert share_done(status(0, 100, num_builds=2)) is None
    assert share_done(status(25, 75, num_builds=2)) == 0.25
    assert share_done(status(100, 0, num_builds=4, published=1, quarantined=1)) == 0.5
    assert share_done(status()) == 0.0
