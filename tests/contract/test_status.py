"""jobs/status.py: what a library says about its runs, to whoever asks from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.run import report
from dreamfoundry.run.report import RunProgress, RunReport
from support.processes import run_job

SPENT = {"useful": 3600.0, "wasted": 1800.0, "idle": 0.0}


def progress(run_id: str) -> RunProgress:
    return RunProgress(
        run_id=run_id,
        manifest="toys.parquet",
        started_at="2026-01-01T00:00:00Z",
        at="2026-01-01T01:30:00Z",
        num_builds=40,
        published=29,
        quarantined=1,
        num_steps=6000,
        optimizer_s=SPENT,
        price_per_hour=2.0,
        eta_s=1800.0,
    )


def ended(run_id: str) -> RunReport:
    rows: dict[str, Any] = {"num_rows": 40, "published": 38, "skipped": 0, "quarantined": 2, "lost_rows": 0}
    return RunReport(
        run_id=run_id,
        manifest="toys.parquet",
        manifest_digest="0" * 64,
        library="anywhere",
        status="partial",
        started_at="2026-01-01T00:00:00Z",
        finished_at="2026-01-01T02:00:00Z",
        pending=0,
        failure_classes={"empty": 2},
        timings_s={},
        optimizer_s=SPENT,
        price_per_hour=2.0,
        **rows,
    )


def status(folder: Path, *records: RunProgress | RunReport) -> str:
    store = DirectoryStore(folder)
    for record in records:
        store.put(report.key(type(record), record.run_id), report.to_json(record), report.MEDIA_TYPE)
    done = run_job("status.py", str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_without_a_report_is_shown_with_how_far_it_was_and_what_is_left(tmp_path: Path) -> None:
    shown = status(tmp_path, progress("first"))
    assert "run first began 2026-01-01T00:00:00Z with 40 assets to build" in shown
    assert "at 2026-01-01T01:30:00Z: 29 published, 1 quarantined, 10 left, about 0:30:00 to go" in shown
    assert "No report yet: still running, or killed" in shown


def test_a_run_that_has_ended_is_shown_by_its_report_only(tmp_path: Path) -> None:
    shown = status(tmp_path, progress("first"), ended("first"))
    assert "last run first: partial (exit 3), 2026-01-01T02:00:00Z: 38 published" in shown
    assert "40 assets to build" not in shown


def test_the_cost_of_all_runs_is_added_up_and_killed_ones_are_not_forgotten(tmp_path: Path) -> None:
    shown = status(tmp_path, progress("first"), progress("second"), ended("second"))
    assert "distill workers: 2.00 h useful, 1.00 h wasted, 0.00 h idle, cost 6.00" in shown


def test_what_cannot_be_read_is_named_and_all_the_rest_is_told(tmp_path: Path) -> None:
    bad = [report.key(RunReport, "second"), "outcomes/0a/" + "0a" * 32 + ".json", "bad_rows/second.json"]
    for key in bad:
        DirectoryStore(tmp_path).put(key, b"", report.MEDIA_TYPE)

    shown = status(tmp_path, ended("first"))

    assert "last run first: partial (exit 3)" in shown
    assert "0 published, 0 quarantined, 2 runs" in shown
    assert [line.split(":")[1].strip() for line in shown.splitlines() if line.startswith("unreadable: ")] == [
        bad[2], bad[1], "runs/second",
    ]  # fmt: skip
